"""What there is to run, as people read it."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.commands.listings import datasets_table, experiments_table, knobs_table
from pipelines.commands.status import status_table
from pipelines.config.dataset_files import ask_for
from pipelines.config.knob_words import described
from tests.homes import copy_home
from tests.pipelines.planning import write_files


def shown(table: Any) -> str:
    console = Console(width=300, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


def row(text: str, name: str) -> list[str]:
    """The cells of the row that begins with a name."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    return next(cells for cells in rows if cells[0] == name)


@pytest.fixture
def mine(home: Path) -> Path:
    turned = {"mask_choices": {"sigma": 0.04, "crop": "pad"}}
    return write_files(home / "experiments", {"mine": {"extends": "base", "knobs": turned, "description": "Ours."}})


def test_experiments_say_what_they_turn_and_where_they_are_asked_for(mine: Path) -> None:
    text = shown(experiments_table())
    assert row(text, "mine") == ["mine", "base", "1", "-", "Ours."]  # base pads already
    assert row(text, "base")[1:4:2] == ["-", "toyref"]
    for where in (text, shown(status_table("toyref", "base"))):
        assert "mine is asked for on no data set yet: `wordmask run -e mine -d toyref` runs it there" in where
    ask_for("toyref", ["mine"])
    text = shown(experiments_table())
    assert row(text, "mine")[3] == "toyref"
    assert "asked for on no data set" not in text


@pytest.mark.parametrize("word", ["OURS", "mine", "choices.sigma"])
def test_experiments_are_found_by_a_word(mine: Path, word: str) -> None:
    text = shown(experiments_table(word))
    assert row(text, "mine")
    assert "tris_batch_12" not in text
    with pytest.raises(Refused, match="no experiment has to do with mone; did you mean mine"):
        experiments_table("mone")


def test_data_sets_say_what_was_read_of_them(home: Path, described: Path) -> None:
    assert "not read yet: train, val, testA, testB" in shown(datasets_table())
    copy_home(described, home, experiments={})
    cells = row(shown(datasets_table()), "little")
    assert cells[1] == "toyref"
    assert cells[3].startswith("train ")
    assert "not read yet" not in cells[3]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "mask_choices",
            ["sigma", "number above 0 to 10,000", "50.0", "Blur in pixels of", "0.078: base", "0.04: mine"],
        ),
        ("sigma", ["mask_choices.sigma", "0.04: mine"]),
        ("mask_choices.prompt", ["prompt", "reverse_blur | red_ellipse", "red_ellipse: red_ellipse"]),
        ("references", ["references has no knobs"]),
        ("", ["mask_choices", "sigma, blur, crop", "wordmask knobs STAGE"]),
    ],
)
def test_knobs_are_told_with_who_turns_them(mine: Path, name: str, expected: list[str]) -> None:
    text = shown(knobs_table(name))
    assert [part for part in expected if part not in text] == []


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("mask_choice", "mask_choices"), ("sigmma", "sigma"), ("mask_choices.sigm", "mask_choices.sigma")],
)
def test_a_wrong_name_is_told_what_it_may_mean(wrong: str, near: str) -> None:
    with pytest.raises(Refused, match=f"no stage or knob is called {wrong}; did you mean {near}"):
        knobs_table(wrong)


def test_every_knob_has_a_meaning_and_a_kind() -> None:
    words = {(stage.name, knob.name): knob for stage in STAGES.values() for knob in described(stage.knobs)}
    assert not [name for name, knob in words.items() if not knob.description or "typing." in knob.kind]
    kinds = {name: words[name].kind for name in [("mask_choices", "absent"), ("mask_choices", "seed")]}
    assert list(kinds.values()) == ["number above 0 to 1 | balanced | null", "whole number from 0 below 4,294,967,296"]
    assert words["mask_choices", "min_area"].kind == "number from 0 to 1,000,000,000"
