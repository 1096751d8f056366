"""Referring expressions with boxes and no images, for `wordmask places`: a CSV such as those of the RefCOCO family."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from ops.evaluation.place_hits import Referred
from ops.refusal import Refused
from resources.datasets.plain_tables import read_table
from resources.datasets.table_rows import Columns, Row

NAMES = {
    "sentence": ("sent", "sentence", "expression", "raw"),
    "box": ("bbox", "box"),
    "image": ("img_id", "image_id", "image", "file_name"),
    "referent": ("ref_id", "ann_id", "object_id"),
}
"""What a column is for -> what it may be called."""
COLUMNS = Columns(
    wanted=(),
    optional=tuple(name for names in NAMES.values() for name in names),
    labels=frozenset((*NAMES["image"], *NAMES["referent"])),
)


@dataclass(frozen=True, kw_only=True)
class PlaceRefs:
    """Referents of a file, and what could not be read of it."""

    things: tuple[Referred, ...]
    problems: tuple[str, ...]


def read_place_refs(path: Path) -> PlaceRefs:
    """Read a row for each sentence; rows that can not be read are told and left out.

    Args:
        path: CSV (commas) with columns for the sentence, its box ("[x, y, width, height]" in pixels) and its image;
            without one for the referent, rows of one image with equal boxes are one.

    Raises:
        Refused: there is no such file, a column is missing, or no row can be read.
    """
    if not path.exists():
        raise Refused(f"{path} is missing; --refs takes a CSV of sentences and boxes")
    rows = list(read_table(path, COLUMNS))
    used = {role: _column(rows, role, path.name) for role in NAMES}
    boxes: dict[tuple[str, str], tuple[float, float, float, float]] = {}
    said: dict[tuple[str, str], list[str]] = {}
    problems = []
    for row in rows:
        cells = {role: row.cells[name] if name else "" for role, name in used.items()}
        box = _box(cells["box"])
        problem = row.problem or _problem(cells, box)
        if problem or box is None:
            problems.append(f"{row.place}: {problem}")
            continue
        key = (cells["image"], cells["referent"] or cells["box"])
        if boxes.setdefault(key, box) != box:
            problems.append(f"{row.place}: the referent {cells['referent']} has another box before")
            continue
        said.setdefault(key, []).append(cells["sentence"])
    if not said:
        raise Refused(f"no row of {path.name} can be read ({problems[0] if problems else 'there are none'})")
    things = (Referred(image=key[0], box=boxes[key], expressions=tuple(texts)) for key, texts in said.items())
    return PlaceRefs(things=tuple(things), problems=tuple(problems))


def _column(rows: list[Row], role: str, name: str) -> str | None:
    """The column that is there for a role; None for a referent without one."""
    found = next((column for column in NAMES[role] if any(row.cells[column] for row in rows)), None)
    if found is None and role != "referent":
        raise Refused(f"{name} has no column for the {role}: name one {' or '.join(NAMES[role])}")
    return found


def _problem(cells: dict[str, str], box: object) -> str | None:
    if not cells["sentence"] or not cells["image"]:
        return f"no {'image' if cells['sentence'] else 'sentence'}"
    return "the box is not [x, y, width, height] with a width and a height" if box is None else None


def _box(text: str) -> tuple[float, float, float, float] | None:
    """x0, y0, x1, y1 of "[x, y, width, height]"; None if it is no box."""
    try:
        x, y, width, height = map(float, json.loads(text))
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None
    corners = (x, y, x + width, y + height)
    return corners if all(map(math.isfinite, corners)) and width > 0 and height > 0 else None
