"""A large index in parts: together they are the whole, and the first one does not grow."""

from pathlib import Path
from typing import Any

import pytest

from assets.reports.gallery import parts
from assets.reports.gallery.index import index_columns, places_of
from assets.reports.gallery.writing import write_gallery
from tests.galleries import OBJECTS, grey, simulated

EXPRESSIONS = OBJECTS**2
"""Of an image."""


def appended(to: Any, part: Any) -> None:
    """As the page does it."""
    for name, column in part.items():
        if name == "typed":
            to["typed"] |= column
        elif isinstance(column, list) and not (column and isinstance(column[0], list | dict)):
            to[name] += column
        elif isinstance(column, list):
            for one, other in zip(to[name], column, strict=True):
                appended({"it": one}, {"it": other}) if isinstance(one, list) else appended(one, other)
        else:
            appended(to[name], column)


@pytest.mark.parametrize(("first", "further"), [(7, 10), (45, 1), (44, 1), (1, 100), (100, 1)])
def test_parts_together_are_the_whole_index(monkeypatch: pytest.MonkeyPatch, first: int, further: int) -> None:
    monkeypatch.setattr(parts, "FIRST", first)
    monkeypatch.setattr(parts, "FURTHER", further)
    gallery = simulated(5, predictions=2)
    places = places_of(gallery)
    whole = index_columns(gallery, places, dict.fromkeys(places.images))
    together, *others = parts.in_parts(whole)
    assert len(others) == parts.count_of_parts(len(gallery.rows)) == together["rest"]
    assert len(together["rows"]["id"]) == min(first, len(gallery.rows))
    for part in others:
        appended(together, part)
    assert {name: together[name] for name in whole} == whole


def test_what_is_read_first_does_not_grow_with_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parts, "FIRST", 3 * EXPRESSIONS)
    folders = [write_gallery(simulated(images), tmp_path / str(images), grey).page.parent for images in (4, 40)]
    small, large = ([(folder / name).stat().st_size for name in ("index.html", "data/index.js")] for folder in folders)
    assert sum(large) < 1.02 * sum(small)  # but for the digits of larger counts
