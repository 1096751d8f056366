"""oIoU, mIoU and P@X from integer pixel counts, mergeable across shards, with a rule for empty masks (S+S+C spec 5).

One row is one (referent, expression) or one referent: the caller decides, and at which resolution.
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
"""How empty masks count, to be printed beside the numbers: spec 5.1, and the authors' S+S evaluation of spec 5.2."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """oIoU, mIoU and P@X as fractions in [0, 1]; NaN when there was no row."""

    oiou: float
    miou: float
    precision: Mapping[float, float]
    """Share of rows with IoU >= threshold, per threshold."""

    rows: int
    rule: str
    """How empty masks were counted, in words."""


def intersection_union(prediction_HW: Tensor | ArrayLike, ground_truth_HW: Tensor | ArrayLike) -> tuple[int, int]:
    """Pixels of intersection and union of two masks; any non-zero value is foreground.

    Raises:
        ValueError: if the sizes differ. Resize the labels first, and say so in the report.
    """
    prediction, ground_truth = (torch.as_tensor(mask) != 0 for mask in (prediction_HW, ground_truth_HW))
    if prediction.shape != ground_truth.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and ground truth {tuple(ground_truth.shape)} differ in size"
        )
    ground_truth = ground_truth.to(prediction.device)
    return int((prediction & ground_truth).sum()), int((prediction | ground_truth).sum())


def row_ious(intersections_R: ArrayLike, unions_R: ArrayLike) -> NDArray[np.float64]:
    """IoU of every row, (R,); 0 where both masks are empty (spec 5.1)."""
    intersections, unions = np.asarray(intersections_R, dtype=np.float64), np.asarray(unions_R, dtype=np.float64)
    return np.divide(intersections, unions, out=np.zeros_like(intersections), where=unions > 0)


def overall_iou(intersections_R: ArrayLike, unions_R: ArrayLike) -> float:
    """oIoU: sum of intersections over sum of unions. Large referents dominate."""
    union = int(np.sum(unions_R, dtype=np.int64))
    return int(np.sum(intersections_R, dtype=np.int64)) / union if union else 0.0


def mean_iou(ious_R: ArrayLike) -> float:
    """mIoU: mean IoU over rows. The sum is exact, so the order of rows does not matter."""
    ious = np.asarray(ious_R, dtype=np.float64).ravel()
    return math.fsum(ious) / ious.size if ious.size else math.nan


def precision_at(ious_R: ArrayLike, threshold: float) -> float:
    """P@X: share of rows whose IoU is at least `threshold`."""
    ious = np.asarray(ious_R, dtype=np.float64).ravel()
    return int((ious >= threshold).sum()) / ious.size if ious.size else math.nan


def _counts(values: ArrayLike) -> NDArray[np.int64]:
    """Pixel counts as a vector of int64; anything but integers is refused."""
    counts = np.atleast_1d(np.asarray(values))
    if counts.size and not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"pixel counts are {counts.dtype}; pass whole numbers, not IoUs")
    return counts.astype(np.int64)


class ScoreState:
    """Metric state: update with rows, merge shards, compute.

    It holds the rows themselves, two integers each: any split of the data gives bit-equal scores.
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
            intersections_R: pixels of the intersections.
            unions_R: pixels of the unions; for a row without a prediction, the area of its ground truth.
            has_candidate_R: False where stage 1 has no candidate mask; only `compat` treats such rows differently.

        Raises:
            ValueError: if the counts cannot be those of masks, or lengths differ.
        """
        intersections, unions = _counts(intersections_R), _counts(unions_R)
        candidate = np.ones(intersections.shape, bool)
        if has_candidate_R is not None:
            candidate = np.atleast_1d(has_candidate_R).astype(bool)
        if not intersections.shape == unions.shape == candidate.shape:
            shapes = f"{intersections.shape}, {unions.shape}, {candidate.shape}"
            raise ValueError(f"lengths differ: {shapes}; one of each per row")
        if (intersections < 0).any() or (intersections > unions).any():
            raise ValueError("an intersection is negative or larger than its union: pass (intersection, union) pairs")
        if intersections[~candidate].any():
            raise ValueError("a row without a candidate has an intersection: count it as an empty prediction")
        self._intersections.append(intersections)
        self._unions.append(unions)
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
        """Scores of all rows so far."""
        intersections = np.concatenate([np.zeros(0, np.int64), *self._intersections])
        unions = np.concatenate([np.zeros(0, np.int64), *self._unions])
        candidate = np.concatenate([np.zeros(0, bool), *self._has_candidate])
        ious = row_ious(intersections, unions)
        summed = candidate if self.empties == "compat" else np.ones_like(candidate)
        return Scores(
            oiou=overall_iou(intersections[summed], unions[summed]) if ious.size else math.nan,
            miou=mean_iou(ious),
            precision={threshold: precision_at(ious, threshold) for threshold in self.thresholds},
            rows=int(ious.size),
            rule=RULES[self.empties],
        )
