"""No result is written over another one: names come from one function, and what lies there is looked at (case 24)."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from assets.segmenters.answers import Answer
from ops.refusal import Refused
from pipelines.commands import results
from pipelines.commands import segment as module
from pipelines.commands.answering import Answering
from storage.outputs import LIST, LOCK, file_name, outputs

Segment = Callable[..., list[str]]


@pytest.fixture
def segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Segment:
    """Segment with a stand-in for the model; the names of the files that the call wrote or wrote again."""
    monkeypatch.setattr(module, "open_answering", _answering)

    def call(picture: str, expressions: Sequence[str] = ("the red square",), **options: Any) -> list[str]:
        options = {"dataset": "toyref", "experiment": "base", **options}
        summary = module.segment(tmp_path / picture, expressions, tmp_path / "masks", **options)
        return [Path(str(cell)).name for cell in summary.columns[-1].cells]

    return call


def _answering(dataset: str, experiment: str, model: str | None) -> Answering:
    return Answering(dataset=dataset, experiment=experiment, by=model or "zs_bootstrap", segment=_whole)


def _whole(expressions: Sequence[str], pixels: np.ndarray) -> list[Answer]:
    return [Answer(mask=np.ones(pixels.shape[:2], bool), reason="model") for _ in expressions]


def paint(path: Path, side: int = 8, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path)


def written(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "masks").iterdir()} - {LIST, LOCK}


def test_pictures_of_one_stem_keep_their_own_files(segment: Segment, tmp_path: Path) -> None:
    pictures = ("a/1.png", "b/1.png", "1.bmp", "c/1.png")
    for side, picture in enumerate(pictures, 20):
        paint(tmp_path / picture, side)
    names = [segment(picture)[0] for picture in pictures]
    assert names[0] == "1_0.png"
    assert len(written(tmp_path)) == 2 * len(pictures)
    for side, name in enumerate(names, 20):
        for file in (name, name.replace("_0.png", "_overlay.png")):
            with Image.open(tmp_path / "masks" / file) as image:
                assert image.size == (side, side)


def test_the_same_again_writes_the_same_files(segment: Segment, tmp_path: Path) -> None:
    paint(tmp_path / "a/1.png")
    paint(tmp_path / "b/1.png")
    first = [segment("a/1.png"), segment("b/1.png")]
    assert [segment("a/1.png"), segment("b/1.png")] == first
    assert len(written(tmp_path)) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"expressions": ["the blue square"]},
        {"expressions": ["the red square", "it"]},
        {"experiment": "correct"},
        {"dataset": "mine"},
        {"model": "corrected"},
    ],
)
def test_another_question_about_a_picture_is_another_result(
    segment: Segment, tmp_path: Path, other: dict[str, Any]
) -> None:
    paint(tmp_path / "1.png")
    assert not set(segment("1.png")) & set(segment("1.png", **other))


def test_a_picture_that_was_replaced_is_another_one(segment: Segment, tmp_path: Path) -> None:
    paint(tmp_path / "1.png", 8)
    first = segment("1.png")
    paint(tmp_path / "1.png", 9)
    assert segment("1.png") != first


@pytest.mark.parametrize(
    ("one", "other"), [("Bird.png", "bird.png"), ("caf\u00e9.png", "cafe\u0301.png"), ("ß.png", "SS.png")]
)
def test_names_that_are_one_on_some_disks_stay_apart(segment: Segment, tmp_path: Path, one: str, other: str) -> None:
    paint(tmp_path / "a" / one)
    paint(tmp_path / "b" / other)
    names = {segment(f"a/{one}")[0], segment(f"b/{other}")[0]}
    assert len({name.casefold() for name in names}) == 2


@pytest.mark.parametrize("mine", ["1_0.png", "1_overlay.png", "1_OVERLAY.PNG"])
def test_what_a_person_put_there_or_changed_stays(segment: Segment, tmp_path: Path, mine: str) -> None:
    paint(tmp_path / "1.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / mine).write_bytes(b"my own")
    (name,) = segment("1.png")
    assert (tmp_path / "masks" / mine).read_bytes() == b"my own"
    (tmp_path / "masks" / name).write_bytes(b"corrected by hand")
    assert segment("1.png") != [name]
    assert (tmp_path / "masks" / name).read_bytes() == b"corrected by hand"


@pytest.mark.parametrize("damage", [b"", b"\xff\n", b'{"a": 1}\n[1, 2, 3]\n["x"]\n', b"[" * 5000])
def test_a_damaged_list_makes_nothing_ours(segment: Segment, tmp_path: Path, damage: bytes) -> None:
    paint(tmp_path / "1.png")
    (name,) = segment("1.png")
    (tmp_path / "masks" / LIST).write_bytes(damage)
    (other,) = segment("1.png")
    assert name != other
    assert segment("1.png") == [other]


def test_a_link_is_not_written_through(segment: Segment, tmp_path: Path) -> None:
    paint(tmp_path / "1.png")
    (name,) = segment("1.png")
    elsewhere = (tmp_path / "masks" / name).rename(tmp_path / "elsewhere.png")
    (tmp_path / "masks" / name).symlink_to(elsewhere)
    assert segment("1.png") != [name]


@pytest.mark.parametrize(
    ("wished", "name"),
    [
        ("im0", "im0"),
        ("人 und café", "人 und café"),
        ("a/b\\c:d", "a_b_c_d"),
        ("-rf", "_-rf"),
        (".hidden.", "hidden"),
        ("\x1b[31m\u202ex", "_[31m_x"),
        ("\udcff", "_"),
        (" . ", "unnamed"),
        ("x" * 300, "x" * 120),
        ("é" * 300, "é" * 60),
        ("e\u0301", "\u00e9"),
    ],
)
def test_names_are_good_on_every_disk(wished: str, name: str) -> None:
    assert file_name(wished) == name


@pytest.mark.property
@given(st.text())
def test_whatever_the_stem_its_name_is_one_file_of_the_folder(wished: str) -> None:
    name = file_name(wished)
    assert 0 < len(name.encode()) <= 120
    assert name == Path(name).name
    assert name[0] not in "-. "
    assert name[-1] not in ". "
    assert name.isprintable()


# exports and pages


def test_an_export_into_a_taken_folder_goes_beside_it(tmp_path: Path) -> None:
    def export(of: str, content: bytes) -> str:
        with outputs(tmp_path, "predictions", ["/annotations.json", "/masks/1.png"], of=of) as files:
            files.write("/annotations.json", content)
            files.write("/masks/1.png", content)
            return files.base

    assert [export("first", b"1"), export("first", b"2")] == ["predictions", "predictions"]
    assert (tmp_path / "predictions" / "masks" / "1.png").read_bytes() == b"2"
    assert export("second", b"3") == "predictions-second"
    (tmp_path / "predictions" / "masks" / "1.png").write_bytes(b"corrected by hand")
    assert export("first", b"2") == "predictions-first"
    assert (tmp_path / "predictions" / "masks" / "1.png").read_bytes() == b"corrected by hand"
    (tmp_path / "predictions-first" / "annotations.json").write_bytes(b"mine")
    assert export("first", b"2") == "predictions-first-2"
    assert len([json.loads(line) for line in (tmp_path / LIST).read_text().splitlines() if line]) == 10


def test_a_page_that_people_wrote_is_not_taken_for_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "home"))
    page = tmp_path / "README.md"
    page.write_text("# Mine\n")
    with pytest.raises(Refused, match=r"README\.md is no page of results"):
        results.write_results(page, ["toyref"], [0], ["1"], show=True)
    assert page.read_text() == "# Mine\n"
