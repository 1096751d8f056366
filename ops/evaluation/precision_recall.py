"""Precision-recall curve of all pixels of a split over all thresholds, and the area under it (AUC-PR).

For any segmenter that gives foreground probabilities. MERES plots it (Fig. 4; MERES spec 7) [P]; how it is computed is
[O]: the paper does not say and gives no area, so only the order of models can be compared with it.
Shapes: H x W pixels, K thresholds.
"""

from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEPS = 1000
"""Probabilities are rounded to multiples of 1 / 1000: the area is exact up to that bin width."""


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall from the highest threshold to the lowest; probabilities that no pixel has are left out."""

    precision_K: NDArray[np.float64]
    recall_K: NDArray[np.float64]


class PrecisionRecallState:
    """Histograms of the probabilities of background and foreground pixels: update with images, merge shards, compute.

    Memory is constant, and shards add up exactly.
    """

    def __init__(self, counts_2K: NDArray[np.int64] | None = None) -> None:
        """Start empty, or from another state's `counts_2K`."""
        self._counts = np.zeros((2, STEPS + 1), np.int64) if counts_2K is None else counts_2K.copy()

    @property
    def counts_2K(self) -> NDArray[np.int64]:
        """Number of pixels of every probability from 0 to 1: row 0 background, row 1 foreground."""
        return self._counts.copy()

    def update(self, probabilities_HW: Tensor, ground_truth_HW: Tensor) -> Self:
        """Add foreground probabilities in [0, 1] and the ground-truth mask of the same shape, of one image or more.

        Raises:
            ValueError: the shapes differ, or a value is no probability.
        """
        if probabilities_HW.shape != ground_truth_HW.shape:
            raise ValueError(
                f"probabilities {tuple(probabilities_HW.shape)} and mask {tuple(ground_truth_HW.shape)} differ"
            )
        if not ((probabilities_HW >= 0) & (probabilities_HW <= 1)).all():
            raise ValueError(
                "a value is outside [0, 1]: pass foreground probabilities (a softmax or sigmoid of the logits)"
            )
        bins = (probabilities_HW.double() * STEPS).round().long()
        foreground = ground_truth_HW.bool()
        for row, pixels in enumerate((bins[~foreground], bins[foreground])):
            self._counts[row] += torch.bincount(pixels, minlength=STEPS + 1).cpu().numpy()
        return self

    def merge(self, other: Self) -> Self:
        """Add another shard's pixels."""
        self._counts += other._counts
        return self

    def curve(self) -> PrecisionRecallCurve:
        """Precision and recall, thresholds from the highest to the lowest.

        Raises:
            ValueError: no pixel was foreground.
        """
        background_K, foreground_K = self._counts[:, ::-1][:, self._counts[:, ::-1].any(0)].cumsum(1)
        if not foreground_K.size or not foreground_K[-1]:
            raise ValueError("no pixel of any mask is foreground: recall is undefined; update with other images")
        return PrecisionRecallCurve(foreground_K / (foreground_K + background_K), foreground_K / foreground_K[-1])

    def area(self) -> float:
        """AUC-PR: sum over thresholds of the gain in recall times the precision."""
        precision_K, recall_K = self.curve()
        return float((np.diff(recall_K, prepend=0.0) * precision_K).sum())
