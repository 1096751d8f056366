"""Intervals by bootstrap over images: expressions of one image share its difficulty, so images are drawn, not rows.

A measure that is a ratio of two sums over images (a mean, oIoU) needs those sums alone. Two methods that are measured
on the same draws are compared in pairs.
Shapes: I images, R draws of them, M columns.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
BLOCK = 50
"""Draws in memory at once."""
INTERVAL = (2.5, 97.5)
"""Percentiles: 95 %."""


def resampled_sums(sums_IM: ArrayLike) -> NDArray[np.float64]:
    """(R, M) sums over images drawn anew, as many as there are; the same draws for any columns of as many images.

    Raises:
        ValueError: there is no image.
    """
    values_IM = np.asarray(sums_IM, np.float64)
    images = len(values_IM)
    if not images:
        raise ValueError("nothing can be drawn from no image")
    random, chances_I = np.random.default_rng(0), np.full(images, 1 / images)
    blocks = (random.multinomial(images, chances_I, size=BLOCK) for _ in range(RESAMPLES // BLOCK))
    return np.concatenate([draws_BI @ values_IM for draws_BI in blocks])


def ratio(sums_2: NDArray[np.float64]) -> NDArray[np.float64]:
    """First over second entry of the last axis; NaN where the second is 0."""
    above, below = sums_2[..., 0], sums_2[..., 1]
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def interval(values_R: ArrayLike) -> tuple[float, float]:
    """The percentiles `INTERVAL` of what the draws gave; draws without a value are left out, NaN where none has any."""
    values = np.asarray(values_R, np.float64)
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, INTERVAL)
    return float(low), float(high)
