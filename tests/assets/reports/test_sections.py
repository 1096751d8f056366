"""Scores on a page: their order, their rule, and what is said without any."""

from typing import Any

from assets.reports.sections import scores


def row(method: str, split: str, **more: Any) -> dict[str, Any]:
    return {"method": method, "split": split, "per": "expression", "resolution": "original", "rule": "count", **more}


def test_scores_stand_by_split_and_then_in_the_order_of_methods() -> None:
    rows = [row("b", "val"), row("a", "val"), row("a", "test", rule="compat")]
    section = scores(rows, order=("b", "a"), columns=("split", "method"))
    assert section.table is not None
    assert section.table.rows == [("test", "a"), ("val", "b"), ("val", "a")]
    assert section.rules == ("compat", "count")


def test_without_any_ground_truth_there_is_no_table() -> None:
    assert scores([], order=(), columns=("split",)).table is None
