"""Expressions whose referent's class is known, for `wordmask nouns`: a CSV and the words for each class beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ops.evaluation.noun_hits import LabelledExpression
from ops.refusal import Refused
from resources.datasets.plain_tables import read_table
from resources.datasets.table_rows import Columns
from resources.opening import read_file, shortened

SYNONYMS = "coco_synonyms.txt"
COLUMNS = Columns(wanted=("dataset", "sent", "category"))


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
        Refused: a file, a column or a cell is missing, or a row can not be read.
    """
    table = synonyms or pairs.parent / SYNONYMS
    for path in (pairs, table):
        if not os.path.exists(path):  # noqa: PTH110  Path.exists raises where a name is too long
            raise Refused(f"{shortened(path)} is missing; --pairs takes a CSV that has {SYNONYMS} beside it")
    rows = list(read_table(pairs, COLUMNS))
    if broken := [f"{row.place}: {row.problem}" for row in rows if row.problem is not None]:
        raise Refused(f"{pairs.name} has {len(broken)} rows that can not be read ({'; '.join(broken[:3])})")
    return ClassPairs(
        expressions=tuple(
            LabelledExpression(
                dataset=row.cells["dataset"], expression=row.cells["sent"], category=row.cells["category"]
            )
            for row in rows
        ),
        synonyms=read_synonyms(table),
    )


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """Class -> words for it; one class a line, comma separated, the class itself first.

    Raises:
        Refused: it is no regular file or no UTF-8 text.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise Refused(f"{path.name} is no UTF-8 text; save it as UTF-8") from problem
    lines = [line.split(",") for line in text.splitlines() if line.strip()]
    return {line[0].strip(): tuple(part.strip() for part in line if part.strip()) for line in lines}
