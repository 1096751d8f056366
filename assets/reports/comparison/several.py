"""Referents with several expressions, to be shown in every compared experiment (MERES Figs. 6 and 13, TRIS Fig. 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assets.data.tables import ExpressionRow
from assets.reports.comparison.figures import common_rows
from assets.reports.comparison.reading import Comparison, Part

REFERENTS = 3
EXPRESSIONS = 3
"""Of each referent."""
EXPERIMENTS = 6


@dataclass(frozen=True, kw_only=True)
class Several:
    """What is shown: the first kind of masks of a comparison."""

    part: str
    experiments: tuple[str, ...]
    referents: Sequence[Sequence[ExpressionRow]]
    """Expressions of each."""


def several_of(comparison: Comparison) -> Several:
    """At equal distances through the scored splits, or through all where the masks are of the others alone.

    No referents where masks are of a referent, whatever expression names it.
    """
    part = comparison.parts[0]
    scored = [split for split in comparison.splits if split not in comparison.train]
    grouped = _grouped(comparison, scored) or _grouped(comparison, comparison.splits)
    places = {round(place) for place in np.linspace(0, len(grouped) - 1, REFERENTS)} if grouped else set()
    return Several(
        part=part.title,
        experiments=tuple(part.masks)[:EXPERIMENTS],
        referents=[grouped[place][:EXPRESSIONS] for place in sorted(places)],
    )


def _grouped(comparison: Comparison, splits: Sequence[str]) -> list[list[ExpressionRow]]:
    """Expressions of each referent that has several; of equal ones the first."""
    part, referents = comparison.parts[0], dict[int, dict[str, ExpressionRow]]()
    for split in splits:
        for row in common_rows(part, comparison.rows, split):
            referents.setdefault(row.ref_id, {}).setdefault(row.expression, row)
    several = [[*rows.values()] for rows in referents.values() if len(rows) > 1]
    return several if any(_differ(part, rows) for rows in several) else []


def _differ(part: Part, rows: Sequence[ExpressionRow]) -> bool:
    """Whether an experiment gives different masks to expressions of a referent."""
    return any(len({method.masks[row.sent_id] for row in rows}) > 1 for method in part.masks.values())
