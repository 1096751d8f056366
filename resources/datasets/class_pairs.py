"""Expressions whose referent's class is known, for `wordmask nouns`: a CSV and the words for each class beside it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ops.evaluation.noun_hits import LabelledExpression
from ops.refusal import Refused

SYNONYMS = "coco_synonyms.txt"
COLUMNS = frozenset({"dataset", "sent", "category"})


@dataclass(frozen=True, kw_only=True)
class ClassPairs:
    """Expressions with their classes, and the words for each class."""

    expressions: tuple[LabelledExpression, ...]
    synonyms: dict[str, tuple[str, ...]]
    """Class -> its words, the class itself first."""


def read_class_pairs(pairs: Path, *, synonyms: Path | None = None) -> ClassPairs:
    """Read the expressions and the words for their classes.

    Args:
        pairs: CSV with columns `dataset`, `sent` and `category`.
        synonyms: see `read_synonyms`; by default `coco_synonyms.txt` beside `pairs`.

    Raises:
        Refused: a file, a column or a cell is missing.
    """
    table = synonyms or pairs.parent / SYNONYMS
    for path in (pairs, table):
        if not path.is_file():
            raise Refused(f"{path} is missing; --pairs takes a CSV that has {SYNONYMS} beside it")
    with pairs.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if lacking := COLUMNS - set(rows[0] if rows else ()):
        raise Refused(f"{pairs} lacks rows or the columns {', '.join(sorted(lacking))}; see its README")
    short = [str(number) for number, row in enumerate(rows, 1) if any(row[name] is None for name in COLUMNS)]
    if short:
        raise Refused(f"{pairs} has too few cells in its rows {', '.join(short[:10])}, the header not counted")
    return ClassPairs(
        expressions=tuple(
            LabelledExpression(dataset=row["dataset"], expression=row["sent"], category=row["category"]) for row in rows
        ),
        synonyms=read_synonyms(table),
    )


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """Class -> words for it; one class a line, comma separated, the class itself first."""
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {line[0].strip(): tuple(part.strip() for part in line if part.strip()) for line in lines}
