"""A large index in parts, so that a page opens with the first one, however many expressions there are.

Images and referents are numbered as they come with the expressions: the first so many expressions know of none beyond.
"""

from collections.abc import Iterator
from typing import Any

FIRST, FURTHER = 2_000, 20_000
"""Expressions of the first part and of each other one."""


def count_of_parts(expressions: int) -> int:
    """Parts after the first one."""
    return -(-max(expressions - FIRST, 0) // FURTHER)


def in_parts(index: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The first part, which has all that is no column and says how many others there are, and the others' columns."""
    count = len(index["rows"]["id"])
    rest = count_of_parts(count)
    begin = slice(0, 0), slice(0, 0), slice(0, 0)
    for end in (FIRST, *(FIRST + number * FURTHER for number in range(1, rest + 1))):
        begin = _following(index, begin, end)
        part = _columns(index, *begin)
        yield {**index, **_with_words(index, part), "rest": rest, "expressions": count} if end == FIRST else part


def _following(index: dict[str, Any], before: tuple[slice, slice, slice], end: int) -> tuple[slice, slice, slice]:
    """Expressions up to a place, and the referents and images that come with them."""
    rows = slice(before[0].stop, end)
    referents = slice(before[1].stop, max((place + 1 for place in index["rows"]["referent"][rows]), default=0))
    referents = slice(referents.start, max(referents.start, referents.stop))
    images = max((place + 1 for place in index["referents"]["image"][referents]), default=0)
    return rows, referents, slice(before[2].stop, max(before[2].stop, images))


def _columns(index: dict[str, Any], rows: slice, referents: slice, images: slice) -> dict[str, Any]:
    known, typed = index["rows"], index["rows"]["typed"]
    of_rows = {name: column[rows] for name, column in known.items() if name != "typed"}
    return {
        "images": {name: column[images] for name, column in index["images"].items()},
        "referents": {name: _cut(column, referents) for name, column in index["referents"].items()},
        "rows": {**of_rows, "typed": {at: text for at, text in typed.items() if rows.start <= at < rows.stop}},
        "choices": [
            {name: _cut(column, referents) for name, column in choice.items() if name != "method"}
            for choice in index["choices"]
        ],
        **{name: [column[rows] for column in index[name]] for name in ("iou", "area")},
        "disagreement": index["disagreement"][rows],
    }


def _cut(column: Any, places: slice) -> Any:
    """Of a column, or of one of words by their codes."""
    return {"codes": column["codes"][places]} if isinstance(column, dict) else column[places]


def _with_words(index: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The part with what is no column."""
    referents, choices = index["referents"], index["choices"]
    return {
        **part,
        "referents": {name: _worded(referents[name], column) for name, column in part["referents"].items()},
        "choices": [
            {"method": whole["method"], **{name: _worded(whole[name], column) for name, column in choice.items()}}
            for whole, choice in zip(choices, part["choices"], strict=True)
        ],
    }


def _worded(whole: Any, column: Any) -> Any:
    return {"words": whole["words"], **column} if isinstance(whole, dict) else column
