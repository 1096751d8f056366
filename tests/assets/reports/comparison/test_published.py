"""Published numbers stand beside a comparison on a whole public data set alone; elsewhere a line says why not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assets.data.source import Source, ToyWorld
from assets.data.tables import ExpressionRow
from assets.reports.comparison.published import Beside, published_beside
from assets.reports.comparison.writing import write_comparison
from resources.datasets import DatasetConfig
from tests.comparisons import compared, measured
from tests.galleries import grey

WHOLE = {"train": 100, "val": 10_834, "testA": 5_620}
"""Expressions by split: `train` is a part of RefCOCO's, `testA` lacks less than one in a hundred."""


def beside(counts: Mapping[str, int], *, toy: bool = False, embedded: bool = False, **config: Any) -> Beside:
    source = Source(
        config=DatasetConfig(**{"kind": "refer", "root": Path(), **config}),
        train=("train",),
        evaluate=("val",),
        toy=ToyWorld() if toy else None,
    )
    row = compared(["base", "other"], images=1).rows[0]
    rows: list[ExpressionRow] = [replace(row, split=split) for split, count in counts.items() for _ in range(count)]
    return published_beside(source, rows, embedded=embedded)


def test_splits_that_are_whole_have_the_numbers_that_papers_print() -> None:
    found = beside(WHOLE)
    values = {names[0]: values for names, values in found.systems.items()}
    assert values["S+S+C"]["oIoU", "testA"] == 64.11
    assert {split for _, split in found.columns} == {"val", "testA"}
    assert [measure for measure, _ in found.columns] == sorted((one for one, _ in found.columns), reverse=True)
    assert not found.why_not


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"toy": True}, "scenes are rendered"),
        ({"embedded": True}, "models are small"),
        ({"kind": "folder", "name": "refcoco"}, "no public data set"),
        ({"name": "mine"}, "no public data set"),
        ({"split_map": {"val": "train"}}, "as it was published"),
        ({"counts": {"val": 300}}, "as it was published"),
    ],
)
def test_elsewhere_a_line_says_why_there_are_none(given: dict[str, Any], why: str) -> None:
    found = beside(**{"counts": {"val": 10_834}, **given})
    assert not found.rows
    assert why in found.why_not


def test_the_page_shows_them(tmp_path: Path) -> None:
    plain = replace(compared(["base", "other"]), published=beside(WHOLE))
    page = write_comparison(measured(plain), tmp_path, grey).page.read_text()
    assert "<h2>Published numbers</h2>" in page
    assert '<th scope="row">S+S+C</th>' in page
    assert ">64.1</td>" in page
