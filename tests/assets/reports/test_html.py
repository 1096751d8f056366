"""What the pages share: tables, scores, and the objects that are shown."""

import re
from typing import Any

from assets.data.tables import Referent
from assets.reports.html import NO_TRUTH, scores_html, spread, table_html


def row(method: str, split: str, **more: Any) -> dict[str, Any]:
    return {"method": method, "split": split, "per": "expression", "resolution": "original", "rule": "count", **more}


def cells(html: str) -> list[str]:
    return re.findall(r"<td>(.*?)</td>", html)


def test_a_table_shows_fractions_as_percentages_and_nothing_as_a_dash() -> None:
    html = table_html([{"a": 0.1234, "b": 7, "c": None, "d": "<x>", "left": "out"}], ("a", "b", "c", "d"))
    assert cells(html) == ["12.3", "7", "-", "&lt;x&gt;"]


def test_scores_stand_by_split_and_then_in_the_order_of_methods() -> None:
    rows = [row("b", "val"), row("a", "val"), row("a", "test", rule="compat")]
    html = scores_html(rows, order=("b", "a"), columns=("split", "method"))
    assert cells(html) == ["test", "a", "val", "b", "val", "a"]
    assert "Rule for empty masks: compat; count." in html


def test_without_any_drawn_mask_the_page_says_so() -> None:
    html = scores_html([], order=(), columns=("split",))
    assert NO_TRUTH in html
    assert "<table>" not in html


def test_objects_are_shown_at_equal_distances_from_the_first_to_the_last() -> None:
    objects = [Referent(ref_id=n, object_id=str(n), image_id="", split="val") for n in range(11)]
    assert [one.ref_id for one in spread(objects, 3)] == [0, 5, 10]
    assert spread(objects, 20) == objects
