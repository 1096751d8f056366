"""How far the masks of every two experiments lie apart, which needs no ground truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from assets.reports.comparison.reading import Comparison, Part
from assets.reports.gallery.measures import overlap

EVERY_PAIR = 5
"""Experiments up to which any two are compared; of more, each with the baseline."""
APART = 0.5
"""IoU below which two masks mean something else."""


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Of the masks of two experiments on a split."""

    expressions: int
    mean: float
    """IoU."""
    apart: float
    """Share of expressions whose masks have an IoU below `APART`."""
    equal: float
    """Share of expressions with the very same mask."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The masks of two experiments."""

    part: str
    first: str
    second: str
    ious: Mapping[str, Mapping[int, float]]
    """Split -> expression -> IoU of its two masks, those that differ most first."""

    def likeness(self, split: str) -> Likeness | None:
        """None where no expression of the split has both masks."""
        ious_N = np.array(list(self.ious.get(split, {}).values()))
        if not ious_N.size:
            return None
        return Likeness(
            expressions=ious_N.size,
            mean=float(ious_N.mean()),
            apart=float((ious_N < APART).mean()),
            equal=float((ious_N == 1).mean()),
        )


def pairs_of(comparison: Comparison) -> list[Pair]:
    """Of all kinds of masks that two experiments have."""
    return [_pair(comparison, part, *names) for part in comparison.parts for names in _couples(part)]


def _couples(part: Part) -> Iterator[tuple[str, str]]:
    names = list(part.masks)
    if len(names) <= EVERY_PAIR:
        yield from combinations(names, 2)
    else:
        yield from ((part.baseline, name) for name in names[1:])


def _pair(comparison: Comparison, part: Part, first: str, second: str) -> Pair:
    one, other = part.masks[first].masks, part.masks[second].masks
    found: dict[str, dict[int, float]] = {split: {} for split in comparison.splits}
    for row in comparison.rows:
        if row.sent_id in one and row.sent_id in other:
            found[row.split][row.sent_id] = overlap(one[row.sent_id], other[row.sent_id])
    ordered = {split: dict(sorted(ious.items(), key=lambda item: item[1])) for split, ious in found.items() if ious}
    return Pair(part=part.title, first=first, second=second, ious=ordered)
