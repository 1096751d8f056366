"""Precision and recall over all thresholds, of all pixels of a split (MERES Fig. 4; spec 7).

[P] the curve and its area exist; [C] how they are computed: the paper does not say and prints no area, so only the
order of models can be compared. Shapes: H x W pixels, K thresholds.
"""

from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEPS = 1000
"""Probabilities are rounded to so many parts: the area is exact up to that width."""


class Curve(NamedTuple):
    """Precision and recall from the highest threshold to the lowest; thresholds that no pixel has are left out."""

    precision_K: NDArray[np.float64]
    recall_K: NDArray[np.float64]


class PixelCurve:
    """Pixel counts per probability, gathered over images: memory stays constant, and shards add up exactly."""

    def __init__(self, counts_2K: NDArray[np.int64] | None = None) -> None:
        """Start from nothing, or from another state's `counts_2K`."""
        self._counts = np.zeros((2, STEPS + 1), np.int64) if counts_2K is None else counts_2K.copy()

    @property
    def counts_2K(self) -> NDArray[np.int64]:
        """Pixels of every probability from 0 to 1, background first, then foreground."""
        return self._counts.copy()

    def update(self, foreground_HW: Tensor, truth_HW: Tensor) -> Self:
        """Add an image: probabilities of the foreground in [0, 1], and its mask of the same size.

        Raises:
            ValueError: the sizes differ, or a number is no probability.
        """
        if foreground_HW.shape != truth_HW.shape:
            raise ValueError(f"probabilities {tuple(foreground_HW.shape)} and mask {tuple(truth_HW.shape)} differ")
        if not ((foreground_HW >= 0) & (foreground_HW <= 1)).all():
            raise ValueError("a value is outside [0, 1]: pass the softmax of the logits, channel 1")
        bins = (foreground_HW.double() * STEPS).round().long()
        inside = truth_HW.bool()
        for row, pixels in enumerate((bins[~inside], bins[inside])):
            self._counts[row] += torch.bincount(pixels, minlength=STEPS + 1).cpu().numpy()
        return self

    def merge(self, other: Self) -> Self:
        """Add another shard's pixels."""
        self._counts += other._counts
        return self

    def curve(self) -> Curve:
        """Precision and recall, thresholds from the highest to the lowest.

        Raises:
            ValueError: no pixel was foreground.
        """
        background_K, foreground_K = self._counts[:, ::-1][:, self._counts[:, ::-1].any(0)].cumsum(1)
        if not foreground_K.size or not foreground_K[-1]:
            raise ValueError("no pixel of any mask is foreground: recall has no meaning; update with other images")
        return Curve(foreground_K / (foreground_K + background_K), foreground_K / foreground_K[-1])

    def area(self) -> float:
        """AUC-PR: the sum of each threshold's gain in recall times its precision."""
        precision_K, recall_K = self.curve()
        return float((np.diff(recall_K, prepend=0.0) * precision_K).sum())
