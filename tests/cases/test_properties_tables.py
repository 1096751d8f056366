"""Whatever a table holds, every record of it is kept, left out with a reason, or the table is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from assets.exports.coco import COLUMNS, csv_bytes
from ops.refusal import Refused
from resources.datasets import Corpus, DatasetConfig, open_dataset
from resources.datasets.class_pairs import read_class_pairs
from resources.datasets.file_names import FileNames
from resources.datasets.folder import COLUMNS as READ
from resources.datasets.images import ImageProblem
from resources.datasets.reading import is_visible
from resources.datasets.table_rows import Number, label, read_row
from resources.datasets.table_rows import WrittenRow as Written
from tests.cases.outcomes import count

pytestmark = pytest.mark.property

NAMES = [
    "p0.jpg",
    "./p0.jpg",
    "images\\p1.jpg",
    "P1.JPG",
    "link.jpg",
    "none.jpg",
    "../p0.jpg",
    "pipe.png",
    "a.csv",
    "images",
]
WORDS = ["7", "7.0", "nan", "True", "train", "test", "m.png", "yellow bird", 'a "b"\nc', "\u200b", "\ud800", "=1", ""]
HEADS = [
    b"image,expression\n",
    b"image;expression;object_id;split;mask\n",
    b"",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"[",
    b"sep=;\n",
]
SUFFIXES = ["csv", "tsv", "txt", "json", "jsonl"]

texts = st.one_of(st.sampled_from(NAMES + WORDS), st.text(max_size=20))
pieces = st.one_of(
    st.sampled_from(
        [*(text.encode(errors="surrogatepass") for text in NAMES + WORDS), b",", b";", b'"', b"\n", b"\r\n"]
    ),
    st.sampled_from([b'{"image": "p0.jpg", "expression": "x"}', b'{"', b"}", b"[", b"]", b":", b"\0"]),
    st.binary(max_size=8),
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just(10**400)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
records = st.one_of(
    anything,
    st.fixed_dictionaries({"image": texts, "expression": texts}, optional=dict.fromkeys(COLUMNS[2:], anything)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images, a link to one, a mask; the table is written by each example."""
    root = tmp_path_factory.mktemp("mine")
    (root / "images").mkdir()
    for name in ("p0.jpg", "images/p1.jpg", "m.png"):
        Image.new("L", (6, 5), 90).save(root / name)
    (root / "link.jpg").symlink_to("p0.jpg")
    return root


def outcome(folder: Path, data: bytes, suffix: str) -> Corpus | None:
    """What a table is read as, None where it is refused; all of it can be stored."""
    (folder / f"table.{suffix}").write_bytes(data)
    dataset = open_dataset(DatasetConfig(kind="folder", root=folder, manifest=f"table.{suffix}"))
    try:
        corpus = dataset.corpus()
        truths, broken = dataset.ground_truth()
    except Refused as problem:
        str(problem).encode()
        count("tables", "refused")
        return None
    for row in (*corpus.quarantined, *broken):
        assert f"{row.where}{row.item}{row.reason}".isprintable()
        row.split.encode()
    for kept in corpus.expressions:
        f"{kept.image_file}{kept.object_id}{kept.split}{kept.expression}".encode()
    assert len({kept.sent_id for kept in corpus.expressions}) == len(corpus.expressions)
    assert {truth.object_id for truth in truths} <= {kept.object_id for kept in corpus.expressions} | {
        truth.object_id for truth in truths
    }
    assert corpus.expressions or corpus.quarantined
    count("tables", "quarantined" if corpus.quarantined else "accepted")
    return corpus


@given(head=st.sampled_from(HEADS), body=st.lists(pieces, max_size=20), suffix=st.sampled_from(SUFFIXES))
def test_any_bytes_are_rows_or_refused(folder: Path, head: bytes, body: list[bytes], suffix: str) -> None:
    outcome(folder, head + b"".join(body), suffix)


@given(rows=st.lists(records, min_size=1, max_size=6), listed=st.booleans(), suffix=st.sampled_from(SUFFIXES))
def test_every_record_of_json_is_kept_or_left_out(folder: Path, rows: list[object], listed: bool, suffix: str) -> None:
    text = json.dumps(rows) if listed else "\n".join(map(json.dumps, rows))
    assume(listed or not (len(rows) == 1 and isinstance(rows[0], list)))  # one line that is a list is a list
    if (corpus := outcome(folder, text.encode(), suffix)) is not None:
        assert len(corpus.expressions) + len(corpus.quarantined) == len(rows)


@given(
    rows=st.lists(st.lists(texts, min_size=1, max_size=6), min_size=1, max_size=6),
    columns=st.permutations(COLUMNS),
    delimiter=st.sampled_from(",;\t|"),
)
def test_every_record_of_csv_is_kept_or_left_out(
    folder: Path, rows: list[list[str]], columns: Sequence[str], delimiter: str
) -> None:
    lines = io.StringIO()
    csv.writer(lines, delimiter=delimiter).writerows([columns, *rows])
    corpus = outcome(folder, lines.getvalue().encode(errors="surrogatepass"), "csv")
    written = sum(any(cell.strip() for cell in row) for row in rows)
    if corpus is not None:
        assert len(corpus.expressions) + len(corpus.quarantined) >= written


@given(expressions=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=6))
def test_what_export_writes_is_read_back(folder: Path, expressions: list[str]) -> None:
    rows = [("p0.jpg", text, f"p0.jpg@{number}", "train", "m.png") for number, text in enumerate(expressions)]
    corpus = outcome(folder, csv_bytes([COLUMNS, *rows]), "csv")
    assert corpus is not None
    kept = {row.object_id: row.expression for row in corpus.expressions}
    for number, text in enumerate(expressions):
        assert kept.get(f"p0.jpg#p0.jpg@{number}") == (text.strip() if is_visible(text) else None)
    assert len(corpus.expressions) + len(corpus.quarantined) == len(rows)


@given(cell=st.one_of(texts, st.integers(), st.floats(allow_infinity=False)))
def test_a_label_of_json_is_that_of_csv(cell: object) -> None:
    def split(value: object) -> tuple[str, bool]:
        row = read_row(Written(number=1, place="line 1", cells={"image": "a", "expression": "x", "split": value}), READ)
        return row.cells["split"], row.problem is None

    typed = None if cell != cell else cell if isinstance(cell, str) else Number(json.dumps(cell))
    assert split(typed) == split(str(cell))
    assert label(split(typed)[0]) == split(typed)[0]


@given(written=st.one_of(st.sampled_from(NAMES), st.text("ab./\\:p0jg\u0301é \0", max_size=12), st.text(max_size=300)))
def test_a_file_name_stays_in_its_folder(folder: Path, written: str) -> None:
    names = FileNames(folder)
    try:
        found = names.name_of(written)
    except ImageProblem:
        count("file names", "refused")
        return
    assert (folder / found).resolve().is_relative_to(folder.resolve())
    assert names.name_of(found) == found
    count("file names", "accepted")


@given(body=st.lists(pieces, max_size=20), synonyms=st.lists(pieces, max_size=5))
def test_any_pairs_are_read_or_refused(folder: Path, body: list[bytes], synonyms: list[bytes]) -> None:
    (folder / "pairs.csv").write_bytes(b"dataset,sent,category\n" + b"".join(body))
    (folder / "coco_synonyms.txt").write_bytes(b"".join(synonyms))
    try:
        read_class_pairs(folder / "pairs.csv")
        count("class pairs", "accepted")
    except Refused:
        count("class pairs", "refused")
