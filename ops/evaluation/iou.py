"""oIoU, mIoU and P@X from integer pixel counts, mergeable across shards, each with its rule for empty masks.

S+S+C spec section 5. One row is one (object, expression) or one object: the caller says which, and at which resolution.
Shapes: R rows, H x W pixels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Empties = Literal["count", "compat"]

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)

RULES: Mapping[Empties, str] = {
    "count": "empty predictions count 0 and their ground truth enters the union",
    "compat": "rows without a candidate count 0 in mIoU and P@X and are left out of oIoU; "
    "other empty predictions count 0 and their ground truth enters the union",
}
"""What to print beside the numbers: section 5.1, and the authors' S+S evaluation of section 5.2."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The numbers of one table cell, as fractions in [0, 1]; NaN when there was no row."""

    oiou: float
    miou: float
    precision: Mapping[float, float]
    """Share of rows with IoU >= threshold, per threshold."""

    rows: int
    rule: str
    """How empty masks were counted, in words."""


def intersection_union(prediction_HW: Tensor | ArrayLike, truth_HW: Tensor | ArrayLike) -> tuple[int, int]:
    """Pixels in both masks and pixels in either; any non-zero value is foreground.

    Raises:
        ValueError: if the sizes differ. Resize the labels first, and say so in the report.
    """
    prediction, truth = (torch.as_tensor(mask) != 0 for mask in (prediction_HW, truth_HW))
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and ground truth {tuple(truth.shape)} differ in size")
    truth = truth.to(prediction.device)
    return int((prediction & truth).sum()), int((prediction | truth).sum())


def row_ious(intersections_R: ArrayLike, unions_R: ArrayLike) -> NDArray[np.float64]:
    """IoU of every row, (R,); 0 where both masks are empty (spec 5.1)."""
    shared_R, joined_R = np.asarray(intersections_R, dtype=np.float64), np.asarray(unions_R, dtype=np.float64)
    return np.divide(shared_R, joined_R, out=np.zeros_like(shared_R), where=joined_R > 0)


def overall_iou(intersections_R: ArrayLike, unions_R: ArrayLike) -> float:
    """oIoU: summed intersection over summed union. Large objects dominate."""
    union = int(np.sum(unions_R, dtype=np.int64))
    return int(np.sum(intersections_R, dtype=np.int64)) / union if union else 0.0


def mean_iou(ious_R: ArrayLike) -> float:
    """mIoU: every row counts the same. The sum is exact, so the order of rows does not matter."""
    ious = np.asarray(ious_R, dtype=np.float64).ravel()
    return math.fsum(ious) / ious.size if ious.size else math.nan


def precision_at(ious_R: ArrayLike, threshold: float) -> float:
    """P@X: share of rows whose IoU is at least `threshold`."""
    ious = np.asarray(ious_R, dtype=np.float64).ravel()
    return int((ious >= threshold).sum()) / ious.size if ious.size else math.nan


def _counts(values: ArrayLike) -> NDArray[np.int64]:
    counts = np.atleast_1d(np.asarray(values))
    if counts.size and not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"pixel counts are {counts.dtype}; pass whole numbers, not IoUs")
    return counts.astype(np.int64)


class ScoreState:
    """Row counts gathered so far: update with rows, merge shards, compute at the end.

    State is the rows themselves, two integers each: any split of the data gives the same numbers to the last bit.
    """

    def __init__(self, *, empties: Empties = "count", thresholds: Sequence[float] = THRESHOLDS) -> None:
        if empties not in RULES:
            raise ValueError(f"empties is {empties!r}; it is one of {', '.join(RULES)}")
        self.empties: Empties = empties
        self.thresholds = tuple(thresholds)
        self._intersections: list[NDArray[np.int64]] = []
        self._unions: list[NDArray[np.int64]] = []
        self._has_candidate: list[NDArray[np.bool_]] = []

    def update(
        self, intersections_R: ArrayLike, unions_R: ArrayLike, *, has_candidate_R: ArrayLike | None = None
    ) -> Self:
        """Add rows (or one row).

        Args:
            intersections_R: pixels in both masks.
            unions_R: pixels in either; for a row without a prediction, the area of its ground truth.
            has_candidate_R: False where stage 1 offered no mask at all; only `compat` treats such rows differently.

        Raises:
            ValueError: if the counts cannot be those of masks, or lengths differ.
        """
        shared, joined = _counts(intersections_R), _counts(unions_R)
        candidate = (
            np.ones(shared.shape, bool) if has_candidate_R is None else np.atleast_1d(has_candidate_R).astype(bool)
        )
        if not shared.shape == joined.shape == candidate.shape:
            raise ValueError(f"lengths differ: {shared.shape}, {joined.shape}, {candidate.shape}; one of each per row")
        if (shared < 0).any() or (shared > joined).any():
            raise ValueError("an intersection is negative or larger than its union: pass (intersection, union) pairs")
        if shared[~candidate].any():
            raise ValueError("a row without a candidate has an intersection: count it as an empty prediction")
        self._intersections.append(shared)
        self._unions.append(joined)
        self._has_candidate.append(candidate)
        return self

    def merge(self, other: Self) -> Self:
        """Add another shard's rows.

        Raises:
            ValueError: if the two states follow different rules.
        """
        if (self.empties, self.thresholds) != (other.empties, other.thresholds):
            raise ValueError(f"cannot merge {other.empties!r} rows into a {self.empties!r} state")
        self._intersections += other._intersections
        self._unions += other._unions
        self._has_candidate += other._has_candidate
        return self

    def compute(self) -> Scores:
        """The numbers over all rows so far."""
        shared = np.concatenate([np.zeros(0, np.int64), *self._intersections])
        joined = np.concatenate([np.zeros(0, np.int64), *self._unions])
        candidate = np.concatenate([np.zeros(0, bool), *self._has_candidate])
        ious = row_ious(shared, joined)
        summed = candidate if self.empties == "compat" else np.ones_like(candidate)
        return Scores(
            oiou=overall_iou(shared[summed], joined[summed]) if ious.size else math.nan,
            miou=mean_iou(ious),
            precision={threshold: precision_at(ious, threshold) for threshold in self.thresholds},
            rows=int(ious.size),
            rule=RULES[self.empties],
        )
