"""The examples of docs/teachers.md, from the page itself: what it shows is imported, and its experiments are read."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.ssc.knobs import CandidateKnobs, ChoiceKnobs
from pipelines.commands.add import add_folder
from pipelines.commands.import_masks import import_masks
from pipelines.graph.load import planned
from resources.teachers.imports import imported
from resources.teachers.kept import kept_masks
from resources.teachers.records import Purpose, TeacherMask
from storage.masks import Rle
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "teachers.md").read_text()
BLOCKS = {kind: re.findall(rf"(?ms)^```{kind}\n(.*?)^```", PAGE) for kind in ("csv", "jsonl", "json", "yaml", "python")}
EXPRESSIONS, MASKS_TABLE = BLOCKS["csv"]
(LENS,), (VLM,) = BLOCKS["jsonl"], BLOCKS["json"]
HEIGHT, WIDTH = 48, 64


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data set of the page, added to a home of its own."""
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "home"))
    folder = tmp_path / "street"
    folder.mkdir()
    for name in ("one.jpg", "two.jpg"):
        Image.new("RGB", (WIDTH, HEIGHT), "white").save(folder / name)
    (folder / "expressions.csv").write_text(EXPRESSIONS)
    add_folder("street", folder, manifest=None, experiment="base")
    return tmp_path


def brought(path: Path, purpose: Purpose, name: str) -> list[TeacherMask]:
    import_masks(path, "street", name, purpose)
    return kept_masks(imported("street", name))


def test_the_lines_of_the_first_example_are_choices(street: Path) -> None:
    (street / "lens.jsonl").write_text(LENS)
    masks = brought(street / "lens.jsonl", "choices", "lens")
    assert [(one.image_id, one.expression, one.score) for one in masks] == [
        ("one.jpg", "the dog on the left", 0.91),
        ("one.jpg", "left dog", 0.88),
        ("one.jpg", "the dog on the right", 0.62),
        ("two.jpg", "the man", 0.97),
    ]
    assert imported("street", "lens").left_out == 0


def test_the_code_of_the_first_example_writes_such_lines(street: Path) -> None:
    page: dict[str, Any] = {}
    exec(BLOCKS["python"][0], page)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5:20, 7:30] = True
    page["write"](street / "own.jsonl", [("two.jpg", "the man", mask, 0.5), ("one.jpg", "left dog", None, 0.1)])
    (one,) = brought(street / "own.jsonl", "choices", "own")
    assert (one.mask, one.score) == (Rle.of(mask), 0.5)


def test_the_page_of_the_second_example_is_candidates_and_one_reason(street: Path) -> None:
    (street / "vlm.json").write_text(VLM)
    masks = brought(street / "vlm.json", "candidates", "vlm")
    assert [(one.image_id, one.label, one.score) for one in masks] == [
        ("one.jpg", "dog", 0.91),
        ("one.jpg", "dog", 0.83),
        ("two.jpg", "person", 0.97),
    ]
    assert imported("street", "vlm").reasons == {"score": 1}


def test_the_table_of_a_folder_is_read(street: Path) -> None:
    painted = street / "painted"
    (painted / "masks").mkdir(parents=True)
    (painted / "masks.csv").write_text(MASKS_TABLE)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:20, 7:30] = 255
    Image.fromarray(mask).save(painted / "masks" / "1.png")
    shutil.copy(painted / "masks" / "1.png", painted / "masks" / "2.png")
    masks = brought(painted, "choices", "painted")
    assert [(one.expression, one.score) for one in masks] == [
        ("the dog on the left", 0.91),
        ("the dog on the right", None),
    ]
    assert {one.mask for one in masks} == {Rle.of(mask > 0)}


@pytest.mark.parametrize(("place", "name"), [(0, "lens"), (1, "vlm")])
def test_the_experiments_of_the_page_end_in_a_trained_student(
    street: Path, monkeypatch: pytest.MonkeyPatch, place: int, name: str
) -> None:
    monkeypatch.setattr("pipelines.graph.load.identify", lambda model: f"weights of {model}")
    folder = street / "home" / "experiments"
    folder.mkdir()
    (folder / f"{name}.yaml").write_text(f"datasets: [street]\n{BLOCKS['yaml'][place]}")
    used = {one.stage.name: one for one in planned("street", name)}
    assert {"corrected", "corrected_predictions", "report"} <= used.keys()
    first, second = used["candidate_masks"].knobs, used["mask_choices"].knobs
    assert isinstance(first, CandidateKnobs)
    assert isinstance(second, ChoiceKnobs)
    assert (first.source, first.teacher) == ("imported", name)
    assert (second.rule, second.teacher) == (("imported", "lens") if name == "lens" else ("clip", ""))
