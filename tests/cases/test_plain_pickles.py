"""A pickle of a few bytes costs a few bytes and no time, and one of plain data is what Python reads from it."""

from __future__ import annotations

import os
import pickle
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from ops.refusal import Refused
from resources.datasets.pickle_machine import UnsafePickleError
from resources.datasets.plain_pickle import load_plain_pickle
from resources.datasets.plain_values import HUGE

PLAIN: list[Any] = [
    {"ref_id": 1, "sentences": [{"sent_id": 2**31, "sent": "é", "raw": "左 🙂", "tokens": ["a", "a"]}], "split": "val"},
    [0, 255, 256, 65_536, -1, 2**62, -(2**63), 2**100, True, False, None, 1.5, float("inf"), -0.0],
    (1, (), (2,), (3, 4), (5, 6, 7), (8, 9, 10, 11)),
    ["x" * 300, "y" * 70_000, "line\nbreak", "'\"\\", "\ud800"],
    [[], {}, [[]], {"a": {}}, {1: 2, None: 3, 1.5: 4, (): 5} and {1: 2, None: 3, 1.5: 4}],
    list(range(3000)),
]


def load(path: Path, data: bytes) -> object:
    file = path / "refs(unc).p"
    file.write_bytes(data)
    return load_plain_pickle(file)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("number", range(len(PLAIN)))
def test_plain_data_is_what_python_reads(tmp_path: Path, number: int, protocol: int) -> None:
    assert load(tmp_path, pickle.dumps(PLAIN[number], protocol=protocol)) == PLAIN[number]


@pytest.mark.parametrize(
    "written",
    [b"S'a\\x41\\'\\n'\np0\n.", b'S"it\'s"\n.', b"T\3\0\0\0abc.", b"Vx\\u00e9\n.", b"I01\n.", b"L12L\n.", b"F2.5\n."],
)
def test_the_oldest_way_to_write_is_read_too(tmp_path: Path, written: bytes) -> None:
    assert load(tmp_path, written) == pickle.loads(written)


def doubled(times: int, close: bytes) -> bytes:
    """A list that holds the one before twice, and so on."""
    layers = b""
    for n in range(times):
        layers += b"](" + b"h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1])
    return b"\x80\x02]q\0" + layers + close


BOMBS: dict[str, bytes] = {
    "a memo of two thousand million places": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a memo place of many digits": b"]p" + b"9" * 200 + b"\n.",
    "a text of 2^62 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "bytes of 2^40": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "a text of 2 GB": b"\x80\x02X\xff\xff\xff\x7fx.",
    "a negative length": b"\x80\x02T\xff\xff\xff\xffx.",
    "a number of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7fx.",
    "a frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"].",
    "lists that hold each other": doubled(200, b"."),
    "lists that hold each other, as a key": b"\x80\x02}" + doubled(200, b"K\1s.")[2:],
    "lists a hundred thousand deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "tuples a hundred thousand deep, as a key": b"\x80\x02})" + b"\x85" * 100_000 + b"K\1s.",
    "a list in itself": b"\x80\x02]q\0h\0a.",
    "many marks": b"\x80\x02" + b"(" * 200_000 + b".",
    "a dict with a lone key": b"\x80\x02}(K\1u.",
    "append to a number": b"\x80\x02K\1K\1a.",
    "nothing to append": b"a.",
    "an instruction that is none": b"\x80\x02\xff.",
    "no end": b"\x80\x02]",
}


HARMLESS = {
    "a memo of two thousand million places",
    "a memo place of many digits",
    "a frame of 2^60",
    "tuples a hundred thousand deep, as a key",
}
"""What they claim is not believed, and what is left is plain."""


@pytest.mark.parametrize("case", BOMBS)
def test_a_few_bytes_cost_neither_memory_nor_time(tmp_path: Path, case: str) -> None:
    tracemalloc.start()
    start = time.process_time()
    try:
        said = str(load(tmp_path, BOMBS[case]))
    except Refused as refused:
        said = str(refused)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert "refs(unc).p" in said or "the pickle" in said or case in HARMLESS
    assert peak < 250 * len(BOMBS[case]) + 2_000_000
    assert time.process_time() - start < 5


class Calls:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch attacked",)


ASKING = {
    "os.system": b"cposix\nsystem\n(S'touch attacked'\ntR.",
    "builtins.eval": pickle.dumps(eval, protocol=4),
    "os.system ": pickle.dumps(Calls(), protocol=4),
    "os.system  ": b"(S'touch attacked'\niposix\nsystem\n.",
    "the outside object '7'": b"P7\n.",
    "the outside object the text 'secret'": b"\x80\x02X\6\0\0\0secretQ.",
    "the outside object a list": b"\x80\x02" + doubled(200, b"Q.")[2:],
    "a function call": b"\x80\x02K\1K\1R.",
    "a registered class": b"\x80\x02\x82\1.",
    "an outside buffer": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("asked", ASKING)
def test_whatever_is_no_plain_data_is_refused_by_its_name(tmp_path: Path, asked: str) -> None:
    with pytest.raises(UnsafePickleError, match="only plain data is read") as refused:
        load(tmp_path, ASKING[asked])
    assert f"asks for {asked.strip()};" in str(refused.value)
    assert not Path("attacked").exists()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_bytes_are_read_where_they_are_no_call_of_a_function(tmp_path: Path, protocol: int) -> None:
    assert load(tmp_path, pickle.dumps([b"few", b"many" * 100], protocol=protocol)) == [b"few", b"many" * 100]


def test_a_number_beyond_all_measure_is_one_that_no_record_takes(tmp_path: Path) -> None:
    written = b"\x80\x02](\x8b" + struct.pack("<I", 5000) + b"\1" * 5000 + b"L" + b"9" * 5000 + b"L\nK\7e."
    assert load(tmp_path, written) == [HUGE, HUGE, 7]


def test_a_set_is_a_list_and_a_key_that_is_no_text_is_passed_over(tmp_path: Path) -> None:
    assert load(tmp_path, pickle.dumps({"ids": {7}, "more": frozenset({8})}, protocol=4)) == {"ids": [7], "more": [8]}
    odd = load(tmp_path, pickle.dumps({(1, 2): 3, "split": "val"}))
    assert isinstance(odd, dict)
    assert odd["split"] == "val"


def test_lists_that_are_shared_now_and_then_are_read(tmp_path: Path) -> None:
    tokens = ["a"] * 10
    refs = [{"tokens": tokens, "n": number} for number in range(2000)]
    assert load(tmp_path, pickle.dumps(refs)) == refs


def test_lists_that_are_shared_without_measure_are_refused(tmp_path: Path) -> None:
    sentences = [{"sent_id": number, "sent": "x"} for number in range(3000)]
    with pytest.raises(Refused, match="over and over"):
        load(tmp_path, pickle.dumps([{"sentences": sentences} for _ in range(3000)]))
