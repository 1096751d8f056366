"""Curves of all compared experiments on one plot, and referents with several expressions in each of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa

from assets.evaluation.tables import AREAS, CURVE, AreaRow, CurveRow
from assets.framework.stage import StageInstance
from assets.reports.comparison.curves import Curves, Traced, curves_of
from assets.reports.comparison.several import REFERENTS, several_of
from assets.reports.comparison.writing import write_comparison
from storage.artifact import Artifact
from storage.tables import read_batches
from tests.assets.reports.gallery.test_writing import said
from tests.comparisons import compared, measured
from tests.galleries import grey

POINTS = [(0.0, 1.0), (0.5, 0.8), (1.0, 0.3)]
"""Recall and precision."""


@dataclass(frozen=True)
class Tables:
    """What of an artifact is read."""

    folder: Path

    def batches(self, name: str, *, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return read_batches(self.folder / f"{name}.parquet", columns=columns)


def made(folder: Path, stage: str, area: float = 0.0) -> tuple[StageInstance, Artifact]:
    """A finished stage, with the tables of a curve where an area is given."""
    folder.mkdir()
    slot = cast(Any, SimpleNamespace(content=folder))
    sizes = {"112": 0.1, "original": area} if area else {}
    CURVE.write(
        slot, [CurveRow(split="val", resolution=size, precision=y, recall=x) for size in sizes for x, y in POINTS]
    )
    AREAS.write(
        slot,
        [AreaRow(split="val", method="", resolution=size, expressions=3, AUC_PR=sizes[size]) for size in sizes],
    )
    return cast(Any, SimpleNamespace(stage=SimpleNamespace(name=stage))), cast(Any, Tables(folder))


def test_a_curve_is_that_of_the_model_that_an_experiment_is_about(tmp_path: Path) -> None:
    words = [made(tmp_path / "a", "meres_predictions"), made(tmp_path / "b", "meres_curve", 0.75)]
    bound = [made(tmp_path / "c", "supervised_predictions"), made(tmp_path / "d", "supervised_curve", 0.9)]
    found = curves_of({"words": words, "both": [*bound, *words], "early": [*bound, words[0]], "bound": bound})
    assert [(one.experiment, one.method, dict(one.areas)) for one in found.traced] == [
        ("words", "MERES", {"val": 0.75}),
        ("both", "MERES", {"val": 0.75}),
        ("bound", "supervised", {"val": 0.9}),
    ]
    assert found.absent == ("early",)
    assert list(found.lines("val")) == ["words: MERES", "both: MERES", "bound: supervised"]
    assert found.lines("val")["words: MERES"] == POINTS
    assert not curves_of({"early": [words[0]]}).absent


def test_the_page_has_a_plot_for_each_split_that_its_policy_lets_through(tmp_path: Path) -> None:
    both = {"base": {"val": 0.754, "testA": 0.377}, "<other>": {"val": 0.5}}
    traced = [
        Traced(experiment=name, method="MERES", curves=dict.fromkeys(areas, POINTS), areas=areas)
        for name, areas in both.items()
    ]
    plain = replace(compared(["base", "<other>"]), curves=Curves(traced=traced, absent=("third",)))
    page = write_comparison(measured(plain), tmp_path, grey).page.read_text()
    assert "Without a curve: third." in page
    assert '<th scope="row">base</th><td>75.4</td><td>37.7</td>' in page
    assert '<th scope="row">&lt;other&gt;</th><td>50.0</td><td>-</td>' in page
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 2
    assert "&lt;other&gt;</text>" in plots[0]
    assert "style=" not in page


def test_referents_stand_with_several_expressions_at_equal_distances_through_the_scored_splits(tmp_path: Path) -> None:
    comparison = replace(compared(["base", "other", "third"], images=12, trained=["other", "third"]), train=("train",))
    several = several_of(comparison)
    scored = list(dict.fromkeys(row.ref_id for row in comparison.rows if row.split == "val"))
    assert several.experiments == ("other", "third")
    middle = scored[round((len(scored) - 1) / 2)]
    assert [rows[0].ref_id for rows in several.referents] == [scored[0], middle, scored[-1]]
    assert all(1 < len(rows) == len({row.expression for row in rows}) for rows in several.referents)
    assert all(len({row.ref_id for row in rows}) == 1 for rows in several.referents)
    index = said(write_comparison(measured(comparison), tmp_path, grey).page.parent / "data" / "index.js")
    shown = [[index["rows"]["id"][row] for row in rows] for rows in index["several"]["referents"]]
    assert shown == [[row.sent_id for row in rows] for rows in several.referents]
    only_train = replace(comparison, train=comparison.splits)
    assert len(several_of(only_train).referents) == REFERENTS


def test_equal_expressions_of_a_referent_are_shown_once() -> None:
    comparison = compared(["base", "other"], trained=["base", "other"])
    alike = next(row.ref_id for row in comparison.rows if row.split == "val")
    rows = [replace(row, expression="it") if row.ref_id == alike else row for row in comparison.rows]
    shown = [
        {row.ref_id for said in several_of(replace(comparison, rows=given, train=("train",))).referents for row in said}
        for given in (comparison.rows, rows)
    ]
    assert [alike in referents for referents in shown] == [True, False]


def test_masks_of_a_referent_are_not_shown_once_for_each_expression(tmp_path: Path) -> None:
    choices = compared(["base", "other"])
    assert several_of(choices).referents == []
    assert "Several expressions" not in write_comparison(measured(choices), tmp_path, grey).page.read_text()
