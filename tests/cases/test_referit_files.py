"""Damaged masks, packed files and image lists of ReferIt cost what they damage; all else is read."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from ops.refusal import Refused
from resources.datasets import DatasetConfig, open_dataset
from resources.datasets.mat_matrix import MatrixProblem, read_matrix
from tests.cases.test_published_layouts import Found

SHAPE = (16, 20)
Read = Callable[..., Found]


def mat(matrix: Any, *, name: str = "segimg_t", **how: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, {"before": np.arange(5), name: matrix}, **how)
    return file.getvalue()


def region(dtype: str = "i2") -> Any:
    matrix_HW = np.ones(SHAPE, dtype)
    matrix_HW[3:8, 4:9] = 0
    return matrix_HW


def flipped(data: bytes, place: int) -> bytes:
    damaged = bytearray(data)
    damaged[place] ^= 0x55
    return bytes(damaged)


GOOD = mat(region(), do_compression=True)
PLAIN = mat(region())


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a set of one image with a mask, changed as asked, and read all of it."""
    (tmp_path / "images").mkdir()
    (tmp_path / "mask").mkdir()
    Image.new("RGB", (20, 16)).save(tmp_path / "images/38.jpg")

    def write(
        queries: Any = None,
        *,
        packed: bytes | None = None,
        sizes: Any = None,
        matrix: bytes = GOOD,
        train: bytes = b"38",
        **lists: bytes,
    ) -> Found:
        for file in tmp_path.glob("referit_*"):
            file.unlink()
        if packed is None:
            written = queries if isinstance(queries, bytes) else json.dumps(queries or {"38_1": ["red cup"]}).encode()
            (tmp_path / "referit_query_all.json").write_bytes(written)
        else:
            (tmp_path / "referit_query_all.json.gz").write_bytes(packed)
        (tmp_path / "referit_imsize.json").write_text(json.dumps(sizes or {"38.jpg": [20, 16]}))
        for name, data in {"train": train, **lists}.items():
            (tmp_path / f"referit_{name}_imlist.txt").write_bytes(data)
        (tmp_path / "mask/38_1.mat").write_bytes(matrix)
        dataset = open_dataset(DatasetConfig(kind="referit", root=tmp_path, name="referit"))
        dataset.fingerprint()
        return Found(dataset.corpus(), *dataset.ground_truth())

    return write


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (b"", "38_1.mat is no MATLAB file (0 bytes)"),
        (b"hello", "38_1.mat is no MATLAB file (5 bytes)"),
        (GOOD[:130], "38_1.mat can not be read"),
        (GOOD[:-9], "38_1.mat is cut off"),
        (flipped(GOOD, 150), "38_1.mat can not be read"),
        (flipped(GOOD, len(GOOD) - 30), "38_1.mat can not be read"),
        (mat(region()[:, :-1]), "38_1.mat is (16, 19) (height, width), its image (16, 20)"),
        (mat({"a": [1, 2]}), "38_1.mat has a matrix of no real numbers"),
        (mat(region("c8")), "38_1.mat has a matrix of no real numbers"),
        (mat(region(), name="other"), "38_1.mat has no matrix segimg_t"),
        (np.ones(SHAPE).tobytes(), "38_1.mat"),
        (mat(np.ones(SHAPE)), "covers no pixel"),
    ],
)
def test_a_mask_that_is_damaged_is_left_out(read: Read, matrix: bytes, reason: str) -> None:
    found = read(matrix=matrix)
    assert (found.refs, found.objects) == ([0], [])
    assert reason in found.broken[0]


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "f4", "f8", "i8", "?"])
@pytest.mark.parametrize("how", [{}, {"do_compression": True}, {"format": "4"}])
def test_a_matrix_is_the_one_that_scipy_reads(dtype: str, how: Any) -> None:
    data = mat(region(dtype), **how)
    known = loadmat(io.BytesIO(data))["segimg_t"]
    np.testing.assert_array_equal(read_matrix(data, "segimg_t", shape=SHAPE), known)


def test_a_packed_matrix_is_unpacked_no_further_than_its_image() -> None:
    with pytest.raises(MatrixProblem, match=r"is \(3000, 3000\)"):
        read_matrix(mat(np.zeros((3000, 3000)), do_compression=True), "segimg_t", shape=SHAPE)


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (flipped(gzip.compress(b'{"38_1":["red cup"]}'), 14), "no readable JSON"),
        (gzip.compress(b'{"38_1":["red cup"]}')[:-12], "no readable JSON"),
        (b"", "no readable JSON"),
        (b"not packed", "no readable JSON"),
        (gzip.compress(b" " * (129 << 20), 1), "unpacks to more than"),
    ],
    ids=["damaged", "cut", "empty", "not packed", "bomb"],
)
def test_a_packed_file_that_is_damaged_says_so(read: Read, packed: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=rf"referit_query_all\.json\.gz .*{reason}"):
        read(packed=packed)


LOST: dict[str, tuple[Any, list[str]]] = {
    "300 letters": ({"a" * 300 + "_1": ["x"]}, ["the name of the region has 302 characters, more than 200"]),
    "NUL": ({"38_\0": ["x"]}, ["the region '38_\\x00' can not be the name of a file"]),
    "a way out": ({"../../38_1": ["x"]}, ["the region '../../38_1' can not be the name of a file"]),
    "a lone surrogate": ({"38_\ud800": ["x"]}, ["is no valid Unicode text"]),
    "no list": ({"38_2": {"a": 1}}, ["the region has no list of expressions but a record"]),
    "a number": ({"38_2": 5}, ["the region has no list of expressions but 5"]),
    "no expression": ({"38_2": []}, ["the region has no expression"]),
    "no text": ({"38_2": [True]}, ["the expression is no text but a truth value"]),
    "another image": ({"40_1": ["x"]}, ["image 40 is in no image list"]),
    "twice": (b'{"38_2": ["x"], "38_1": ["red cup"], "38_2": ["y"]}', ["the region is listed more than once"]),
}


@pytest.mark.parametrize("case", LOST)
def test_a_region_that_can_not_be_used_is_left_out_and_says_why(read: Read, case: str) -> None:
    queries, parts = LOST[case]
    found = read(queries if isinstance(queries, bytes) else {"38_1": ["red cup"], **queries})
    assert [row.object_id for row in found.corpus.expressions] == found.objects == ["38_1"]
    assert len(found.reasons) == (2 if case == "twice" else 1)
    assert all(part in found.reasons[0] for part in parts)


@pytest.mark.parametrize(
    "read_as",
    [
        {"sizes": {"38.jpg": [20.0, "16"]}},
        {"queries": {"38_1": "red cup"}},
        {"train": b"\xef\xbb\xbf38.jpg\r\n"},
        {"train": "38\n39\n".encode("utf-16")},
        {"train": b"38", "test": b"39"},
    ],
)
def test_what_is_plain_is_read(read: Read, read_as: Any) -> None:
    found = read(**read_as)
    assert (found.refs, found.objects, found.reasons) == ([0], ["38_1"], [])


def test_a_name_in_an_image_list_that_is_no_text_is_left_out(read: Read) -> None:
    found = read(train=b"38 \xff")
    assert (found.refs, found.reasons) == ([0], ["the name is no valid Unicode text; save the list as UTF-8"])


def test_an_image_in_the_lists_of_two_splits_is_in_neither(read: Read) -> None:
    found = read(test=b"38")
    assert (found.refs, found.reasons) == ([], ["image 38 is in the lists of train and test"])


@pytest.mark.parametrize("size", [[20], None, [True, 16], [0, 16], [2**70, 16], "20x16", [[20], 16]])
def test_a_size_that_is_none_is_named(read: Read, size: Any) -> None:
    found = read(sizes={"38.jpg": size})
    assert found.reasons == found.broken == ["imsize has no width and height for 38.jpg"]


def test_an_image_beyond_all_measure_is_left_out_before_its_mask_is_read(read: Read) -> None:
    found = read(sizes={"38.jpg": [10**9, 10**9]})
    assert "more than 50,000,000" in found.broken[0]


def test_a_pipe_in_the_place_of_a_mask_is_not_waited_for(read: Read, tmp_path: Path) -> None:
    read()
    (tmp_path / "mask/38_1.mat").unlink()
    os.mkfifo(tmp_path / "mask/38_1.mat")
    dataset = open_dataset(DatasetConfig(kind="referit", root=tmp_path, name="referit"))
    dataset.fingerprint()
    assert dataset.ground_truth()[1][0].reason == "38_1.mat is a named pipe; a regular file is wanted"
