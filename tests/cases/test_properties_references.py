"""Whatever a published layout holds, every expression is kept, left out with a reason, or the set is refused."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from ops.refusal import Refused
from resources.datasets import DatasetConfig, open_dataset
from resources.datasets.mat_matrix import MatrixProblem, read_matrix
from resources.datasets.plain_pickle import load_plain_pickle
from storage.masks import MaskError, rasterise
from tests.cases.outcomes import count
from tests.cases.test_plain_pickles import ASKING, BOMBS
from tests.cases.test_published_layouts import GOOD, PAGE, REF, Found

pytestmark = pytest.mark.property

IMAGES = "images/mscoco/images/train2014"
WORDS = ["red cup", "train", "testA", "one.jpg", "../x", "1", "010", "1.0", "\ud800", "\0", "", "é" * 600, "38_1", "38"]
NUMBERS = [0, 1, 2, 9, 10, 11, -1, 20, 16, 2**31, 2**63, 10**400, 1.0, 40.0, 0.5, float("nan"), float("inf"), True]
texts = st.sampled_from(WORDS) | st.text(max_size=8)
scalars = st.none() | st.sampled_from(NUMBERS) | st.integers() | st.floats() | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
places = st.lists(st.integers(0, 9), min_size=2, max_size=6)
"""Which way down, at each list or record."""


class Change:
    """One place in nested data, and what is done there."""

    def __init__(self, way: list[int], kind: str, value: Any) -> None:
        self.way, self.kind, self.value = way, kind, value

    def __call__(self, data: Any) -> Any:
        box = [deepcopy(data)]
        above: Any = box
        at: Any = 0
        for step in self.way:
            inside = above[at]
            if not isinstance(inside, (list, dict)) or not inside:
                break
            above, at = inside, (list(inside) if isinstance(inside, dict) else range(len(inside)))[step % len(inside)]
        if self.kind == "put":
            above[at] = self.value
        elif self.kind == "drop" and above is not box:
            above.pop(at)
        elif self.kind == "again" and isinstance(above, list) and above is not box:
            above.append(deepcopy(above[at]))
        return box[0]

    def __repr__(self) -> str:
        return f"{self.kind} {self.value!r} at {self.way}"


changes = st.lists(
    st.builds(Change, places, st.sampled_from(["put", "put", "drop", "again"]), anything), min_size=1, max_size=4
)


def changed(data: Any, by: list[Change]) -> Any:
    for change in by:
        data = change(data)
    return data


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and masks of both layouts; the other files are written by each example."""
    root = tmp_path_factory.mktemp("published")
    (root / IMAGES).mkdir(parents=True)
    (root / "refcoco").mkdir()
    (root / "mask").mkdir()
    Image.new("RGB", (40, 30)).save(root / IMAGES / "one.jpg")
    Image.new("RGB", (20, 16)).save(root / "images/38.jpg")
    (root / "mask/38_1.mat").write_bytes(MATRIX)
    return root


def read(config: DatasetConfig) -> Found | None:
    """What is read of a set, None where it is refused; all of it can be stored."""
    dataset, found = open_dataset(config), None
    try:
        dataset.fingerprint()
        found = Found(dataset.corpus(), *dataset.ground_truth())
    except Refused as refused:
        said = str(refused)
        count(config.kind, "refused")
    else:
        said = "".join([*found.reasons, *found.broken])
        assert len(said) < 2_000 * (1 + len(found.reasons) + len(found.broken))
        count(config.kind, "quarantined" if said else "accepted")
    assert said.isprintable()
    return found


def expressions_of(refs: list[Any]) -> int:
    """Rows that a list of references stands for: one for each sentence, and one where there is none."""
    lists = [ref.get("sentences") if isinstance(ref, dict) else None for ref in refs]
    return sum(max(1, len(sentences)) if isinstance(sentences, (list, tuple)) else 1 for sentences in lists)


@given(refs_changes=changes, page_changes=changes | st.just([]), protocol=st.integers(2, 5))
def test_every_expression_of_a_refer_set_is_accounted_for(
    root: Path, refs_changes: list[Change], page_changes: list[Change], protocol: int
) -> None:
    refs = changed([REF, GOOD], refs_changes)
    (root / "refcoco/refs(unc).p").write_bytes(pickle.dumps(refs, protocol=protocol))
    with_digits = json.dumps(changed(PAGE, page_changes), default=str)
    (root / "refcoco/instances.json").write_text(with_digits)
    found = read(DatasetConfig(kind="refer", root=root, name="refcoco"))
    if found is not None:
        assert len(found.refs) + len(found.reasons) == expressions_of(refs)
        assert len({row.sent_id for row in found.corpus.expressions}) == len(found.refs)


CODES = [
    bytes([code]) for code in b"(.012IJKMLNFGSTUVXBC\x8a\x8b\x8c\x8d\x8e\x8fabdegh]ijlopqrstuc}QRP\x80\x81\x85\x86"
]
pieces = st.sampled_from(
    [*CODES, b"\x94\x93\x95\x96", b"\x90\x91\x92", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"1\n", b"q\0", b"h\0"]
)


@given(
    data=st.sampled_from(
        [pickle.dumps([REF, GOOD], protocol=protocol) for protocol in range(6)] + [*BOMBS.values(), *ASKING.values()]
    ),
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 8), pieces | st.binary(max_size=4)), max_size=5),
)
def test_any_bytes_are_plain_data_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    for at, length, piece in edits:
        at %= len(data) + 1
        data = data[:at] + piece + data[at + length :]
    path = tmp_path_factory.getbasetemp() / "mutated.p"
    path.write_bytes(data)
    try:
        content = load_plain_pickle(path)
    except Refused:
        count("pickles", "refused")
        return
    count("pickles", "accepted")
    held = [content]
    for _ in range(100_000 + 4 * len(data)):
        if not held:
            break
        inside = held.pop()
        assert type(inside) in (list, tuple, dict, str, bytes, int, float, bool, type(None))
        if isinstance(inside, (list, tuple, dict)):
            held.extend(inside.values() if isinstance(inside, dict) else inside)
    assert not held


@given(data=anything, protocol=st.integers(0, 5))
def test_plain_data_is_what_python_reads(tmp_path_factory: pytest.TempPathFactory, data: object, protocol: int) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.p"
    path.write_bytes(pickle.dumps(limited(data), protocol=protocol))
    assert repr(load_plain_pickle(path)) == repr(pickle.loads(path.read_bytes()))


def limited(data: Any) -> Any:
    """With numbers of 64 bits only: others become `HUGE`."""
    if isinstance(data, dict):
        return {name: limited(value) for name, value in data.items()}
    if isinstance(data, list):
        return [limited(value) for value in data]
    return data % 2**64 if type(data) is int else data


@given(
    segmentation=anything | st.lists(st.lists(st.floats(-300, 300) | st.sampled_from(NUMBERS), max_size=12), max_size=4)
)
def test_any_segmentation_is_a_mask_or_says_why(segmentation: object) -> None:
    drawn(segmentation)


def drawn(segmentation: object) -> None:
    try:
        mask_HW = rasterise(segmentation, 30, 40)
    except MaskError:
        count("segmentations", "refused")
        return
    assert mask_HW.shape == (30, 40)
    count("segmentations", "accepted")


@given(
    counts=st.lists(st.integers(0, 1300), max_size=8)
    | st.integers(0, 1200).map(lambda first: [first, 1200 - first])
    | st.text("0123456789`oPQabc[]^é", max_size=12),
    size=st.sampled_from([[30, 40], [30.0, 40.0], [40, 30], 30, None, [[30], 40]]),
)
def test_any_run_lengths_are_a_mask_or_say_why(counts: object, size: object) -> None:
    drawn({"size": size, "counts": counts})


def _matrix() -> bytes:
    file = io.BytesIO()
    savemat(file, {"segimg_t": np.tril(np.ones((16, 20), np.int16))}, do_compression=True)
    return file.getvalue()


MATRIX = _matrix()
QUERIES: dict[str, Any] = {"38_1": ["red cup", "cup"], "38_2": ["sky"], "40_1": ["far"]}


@given(
    queries=changes.map(lambda by: changed(QUERIES, by)),
    sizes=changes.map(lambda by: changed({"38.jpg": [20, 16], "40.jpg": [20, 16]}, by)) | st.just({"38.jpg": [20, 16]}),
    names=st.lists(
        st.sampled_from([b"38", b"38.jpg", b"40", b"\xff", b"\0", b"\xef\xbb\xbf38", b"x" * 300]), max_size=4
    ),
    both=st.booleans(),
    packed=st.none() | st.integers(0, 80),
)
def test_every_expression_of_referit_is_accounted_for(
    root: Path, queries: Any, sizes: Any, names: list[bytes], both: bool, packed: int | None
) -> None:
    for old in root.glob("referit_*"):
        old.unlink()
    data = json.dumps(queries).encode()
    if packed is None:
        (root / "referit_query_all.json").write_bytes(data)
    else:
        whole = gzip.compress(data, mtime=0)
        damaged = bytes(byte ^ 0x55 if place == packed else byte for place, byte in enumerate(whole))
        (root / "referit_query_all.json.gz").write_bytes(damaged)
    (root / "referit_imsize.json").write_text(json.dumps(sizes))
    (root / "referit_train_imlist.txt").write_bytes(b"\n".join(names))
    if both:
        (root / "referit_test_imlist.txt").write_bytes(b"38")
    found = read(DatasetConfig(kind="referit", root=root, name="referit"))
    if found is not None and packed is None:
        written = [max(1, len(texts)) if isinstance(texts, list) else 1 for texts in queries.values()]
        unreadable = sum("save the list as UTF-8" in reason for reason in found.reasons)
        assert len(found.refs) + len(found.reasons) - unreadable == sum(written)


@given(
    edits=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.integers(0, 400),
)
def test_any_bytes_are_a_matrix_or_say_why(edits: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(MATRIX)
    for at, piece in edits:
        data[at % len(data) : at % len(data) + len(piece)] = piece
    try:
        found = read_matrix(bytes(data[: len(data) - cut % 40]), "segimg_t", shape=(16, 20))
    except MatrixProblem:
        count("matrices", "refused")
        return
    assert found.shape == (16, 20)
    count("matrices", "accepted")
