"""A teacher's files are read in every documented form, a fault costs its own row, an import is whole or not there."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ops.refusal import Refused
from resources.datasets import Expression
from resources.teachers import imports
from resources.teachers.fitting import Fitted, Known, fit_masks
from resources.teachers.imports import imported, imports_of, remove_import
from resources.teachers.kept import keep, kept_masks
from resources.teachers.reading import read_masks
from resources.teachers.records import MOST_CANDIDATES, Purpose
from storage.masks import Rle
from tests.paths import ROOT

HEIGHT, WIDTH = 12, 16
LEFT, RIGHT = slice(0, 6), slice(8, 14)


def block(columns: slice, *, height: int = HEIGHT) -> np.ndarray[Any, np.dtype[np.bool_]]:
    mask = np.zeros((height, WIDTH), bool)
    mask[2:8, columns] = True
    return mask


def rle(columns: slice = LEFT, **size: int) -> Any:
    return Rle.of(block(columns, **size)).segmentation()


def expression(ref_id: int, sent_id: int, text: str, image: str = "dir/a.jpg") -> Expression:
    return Expression(
        ref_id=ref_id,
        object_id=str(ref_id),
        image_id=image,
        image_file=image,
        width=WIDTH,
        height=HEIGHT,
        split="train",
        sent_id=sent_id,
        expression=text,
        raw=f" {text.upper()}",
    )


KNOWN = Known.of(
    [
        expression(1, 10, "left dog"),
        expression(1, 11, "dog"),
        expression(2, 20, "right dog"),
        expression(2, 21, "dog"),
        expression(3, 30, "cat", "dir/b.jpg"),
        expression(4, 40, "cup", "x/same.png"),
        expression(5, 50, "cup", "y/same.png"),
    ]
)


def fitted(path: Path, purpose: Purpose = "choices") -> Fitted:
    return fit_masks(read_masks(path), KNOWN, purpose)


def written(folder: Path, content: object, name: str = "masks.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def record(**changed: Any) -> dict[str, Any]:
    return {"image": "dir/a.jpg", "expression": "left dog", "segmentation": rle(), "score": 0.5} | changed


def png_folder(folder: Path) -> Path:
    for name, columns in (("l.png", LEFT), ("r.png", RIGHT)):
        Image.fromarray(block(columns).astype(np.uint8) * 255).save(folder / name)
    lines = ["image,expression,file,score", "a.jpg,Left  DOG,l.png,0.5", "a.jpg,right dog,r.png,"]
    (folder / "masks.csv").write_text("\n".join(lines))
    return folder


def coco(folder: Path) -> Path:
    polygon = [[8, 2, 14, 2, 14, 8, 8, 8]]
    images = [{"id": 7, "file_name": "a.jpg"}]
    first = {"image_id": 7, "sent_id": 10, "segmentation": rle(), "score": 0.5, "category_id": 1}
    second = {"image_id": 7, "expression": "right dog", "segmentation": polygon, "category_id": 1}
    page = {"images": images, "annotations": [first, second], "categories": [{"id": 1, "name": "object"}]}
    return written(folder, page)


def lines(folder: Path) -> Path:
    rows = [record(), record(image="dir\\a.jpg", expression="right dog", segmentation=rle(RIGHT), score=None)]
    return written(folder, "\n".join(map(json.dumps, rows)), "masks.jsonl")


FORMS: list[Callable[[Path], Path]] = [
    png_folder,
    coco,
    lines,
    lambda folder: written(
        folder,
        [record(sent_ids=[10], expression=None), record(segmentation=[rle(RIGHT)], expression="right dog", score=None)],
    ),
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(tmp_path: Path, form: Callable[[Path], Path]) -> None:
    found = fitted(form(tmp_path))
    assert not found.unusable
    assert [(one.image_id, one.ref_id, one.sent_id, one.score, one.label) for one in found.masks] == [
        ("dir/a.jpg", 1, 10, 0.5, ""),
        ("dir/a.jpg", 2, 20, None, ""),
    ]
    assert [one.mask for one in found.masks] == [Rle.of(block(LEFT)), Rle.of(block(RIGHT))]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"image": "c.jpg"}, "unknown image"),
        ({"image": "same.png"}, "may be any of 2"),
        ({"image": None}, "names no image"),
        ({"image": [1]}, "image is a list"),
        ({"expression": "zebra"}, "unknown expression"),
        ({"expression": 7}, "expression is 7, no text"),
        ({"expression": None}, "names what was said"),
        ({"sent_id": 99}, "unknown expression: the data set has no sentence 99"),
        ({"sent_id": 30}, "sentence 30 belongs to the image dir/b.jpg"),
        ({"ref_id": "one"}, "ref_id is the text 'one'"),
        ({"sent_ids": "all"}, "sent_ids is"),
        ({"segmentation": rle(height=HEIGHT + 1)}, "do not fit an image of height 12"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "!!"}}, "not COCO compressed text"),
        ({"segmentation": [["a", 1]]}, "even number of coordinates"),
        ({"segmentation": None}, "it lacks segmentation"),
        ({"segmentation": Rle.of(np.zeros((HEIGHT, WIDTH), bool)).segmentation()}, "the mask is empty"),
        ({"score": float("nan")}, "score is nan, not from 0 to 1"),
        ({"score": 1.5}, "score is 1.5, not from 0 to 1"),
        ({"score": "high"}, "score is the text 'high'"),
        ({"score": True}, "score is a truth value"),
        ({"score": 0.4}, "duplicate: record 1 is for the same expression"),
    ],
)
def test_a_fault_costs_its_row_and_is_told(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    found = fitted(written(tmp_path, [record(), record(**changed)]))
    assert [one.sent_id for one in found.masks] == [10]
    (lost,) = found.unusable
    assert lost.place == "record 2"
    assert reason in lost.reason


def test_lines_and_painted_masks_have_faults_of_their_own(tmp_path: Path) -> None:
    found = fitted(written(tmp_path, f"{json.dumps(record())}\n{{oops\n[1]\n", "masks.jsonl"))
    assert [row.reason for row in found.unusable] == [
        "the line is no JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
        "it is a list, no record",
    ]
    folder = png_folder(tmp_path)
    (folder / "masks.jsonl").unlink()
    Image.new("L", (WIDTH, HEIGHT)).save(folder / "empty.png")
    Image.new("L", (WIDTH, 3), 255).save(folder / "flat.png")
    with (folder / "masks.csv").open("a") as table:
        table.write(
            "\na.jpg,dog,empty.png,\na.jpg,dog,flat.png,\na.jpg,dog,../l.png,\na.jpg,dog,gone.png,\na.jpg,dog,,1"
        )
        table.write("\na.jpg,dog,l.png,high\n")
    found = fitted(folder)
    assert len(found.masks) == 2
    told = [row.reason for row in found.unusable]
    wanted = ["empty", "flat.png", "../l.png", "gone.png", "no file", "no number"]
    assert len(told) == len(wanted)
    for part in wanted:
        assert any(part in reason for reason in told), (part, told)


def test_a_shared_text_and_a_referent_mean_all_their_sentences(tmp_path: Path) -> None:
    rows = [record(expression="dog", score=0.9), record(ref_id=2, expression=None, segmentation=rle(RIGHT))]
    found = {one.sent_id: one.mask for one in fitted(written(tmp_path, rows)).masks}
    assert found == {11: Rle.of(block(LEFT)), 21: Rle.of(block(LEFT)), 20: Rle.of(block(RIGHT))}


def test_candidates_keep_their_labels_and_stay_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [{"id": 7, "file_name": "a.jpg"}]
    kinds = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    marks = [{"image_id": 7, "segmentation": rle(), "category_id": kind} for kind in (1, 1, 2)]
    path = written(tmp_path, {"images": images, "annotations": marks, "categories": kinds})
    found = fitted(path, "candidates")
    assert [(one.label, one.sent_id) for one in found.masks] == [("dog", None), ("cat", None)]
    assert ["duplicate" in row.reason for row in found.unusable] == [True]
    monkeypatch.setattr("resources.teachers.fitting.MOST_CANDIDATES", 1)
    assert [row.reason for row in fitted(path, "candidates").unusable][1] == "the image has more than 1 masks already"
    assert MOST_CANDIDATES > 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("masks.json", "{", "masks.json is no readable JSON"),
        ("masks.json", '{"a": 1}', "masks.json has no list of masks: wanted is COCO's form"),
        ("masks.json", "<html>", "masks.json is a web page"),
        ("masks.jsonl", "version https://git-lfs", "a pointer of git-lfs"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        list(read_masks(written(tmp_path, content, name)))
    (tmp_path / name).unlink()
    with pytest.raises(Refused, match=r"is to hold one table, masks.csv or masks.jsonl.*it holds none"):
        list(read_masks(tmp_path))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def import_rows(folder: Path, rows: Iterable[object], name: str = "lens") -> imports.Import:
    return keep("mine", name, "choices", fitted(written(folder, list(rows))), source="masks.json")


@pytest.mark.usefixtures("home")
def test_an_import_comes_back_and_its_fingerprint_is_its_content(tmp_path: Path) -> None:
    first = import_rows(tmp_path, [record(), record(image="c.jpg"), record(score=2.0)])
    assert kept_masks(first) == list(fitted(written(tmp_path, [record()])).masks)
    assert (first.masks, first.images, first.left_out) == (1, 1, 2)
    assert set(first.reasons) == {"unknown image", "score"}
    assert import_rows(tmp_path, [record()], "other").fingerprint == first.fingerprint
    second = import_rows(tmp_path, [record(score=0.6)])
    assert second.fingerprint != first.fingerprint
    assert not first.table.exists()
    assert [one.name for one in imports_of("mine")] == ["lens", "other"]
    with pytest.raises(Refused, match="did you mean lens"):
        imported("mine", "lense")
    with pytest.raises(Refused, match=r"no mask of masks.json fits the data set mine \(record 1: unknown image"):
        import_rows(tmp_path, [record(image="c.jpg")])
    assert imported("mine", "lens") == second
    second.table.write_bytes(imported("mine", "other").table.read_bytes())
    with pytest.raises(Refused, match="is not what was imported as lens"):
        kept_masks(second)
    remove_import("mine", "lens")
    assert sorted(path.name.split("-")[0] for path in second.table.parent.glob("*.parquet")) == ["other", "other"]


KILLED = """
import os, sys
from pathlib import Path
from resources.teachers import kept
from tests.resources.teachers.test_teachers import import_rows, record
at = sys.argv[2]
def end(*_): os.kill(os.getpid(), 9)
setattr(kept, at, end)
import_rows(Path(sys.argv[1]), [record(score=0.9)])
"""


@pytest.mark.parametrize("step", ["write_table", "point_at"])
def test_a_kill_in_the_middle_leaves_the_earlier_import(tmp_path: Path, home: Path, step: str) -> None:
    first = import_rows(tmp_path, [record()])
    environment = os.environ | {"WORDMASK_HOME": str(home), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), step], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert imported("mine", "lens") == first
    assert len(kept_masks(first)) == 1
    again = import_rows(tmp_path, [record(score=0.9)])
    assert {path.name for path in again.table.parent.glob("lens-*")} == {again.table.name, again.left_out_table.name}
