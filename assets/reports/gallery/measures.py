"""Numbers about the masks of an expression that need no model: IoU with ground truth, disagreement, area.

Shapes: M masks of one image.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.ssc.tables import ChoiceRow
from storage.masks import Rle, ious


def overlaps(masks: Sequence[Rle | None]) -> NDArray[np.float64]:
    """(M, M) IoU of every two masks of one image; 1 between two without a pixel (None), 0 between one and another.

    Raises:
        ValueError: masks of different sizes.
    """
    shown = [mask for mask in masks if mask is not None]
    there_M = np.array([mask is not None for mask in masks], bool)
    ious_MM = (~there_M[:, None] & ~there_M[None, :]).astype(np.float64)
    if shown:
        ious_MM[np.ix_(there_M, there_M)] = ious(shown)
    return ious_MM


def disagreement(ious_MM: NDArray[np.float64]) -> float | None:
    """One minus the mean IoU of every two different masks; None where there are fewer than two."""
    count = len(ious_MM)
    if count < 2:
        return None
    return float(1 - (ious_MM.sum() - np.trace(ious_MM)) / (count * (count - 1)))


def sentences_agree(choice: ChoiceRow) -> float | None:
    """Share of a referent's sentences that alone choose what most of them choose; None with fewer than two."""
    alone = choice.chosen_by_sentence
    return Counter(alone).most_common(1)[0][1] / len(alone) if len(alone) > 1 else None


def overlap(one: Rle | None, other: Rle | None) -> float:
    """IoU of two masks of one image; 1 where neither has a pixel (None).

    Raises:
        ValueError: masks of different sizes.
    """
    if one is None or other is None:
        return float(one is other)
    return 1.0 if one == other else one.iou(other)


def pixels_of(mask: Rle | None, truth: Rle | None) -> tuple[int, int]:
    """Pixels of intersection and union; None is a mask without a pixel.

    Raises:
        ValueError: masks of different sizes.
    """
    if mask is None or truth is None:
        return 0, sum(one.area for one in (mask, truth) if one is not None)
    return mask.pixels(truth)
