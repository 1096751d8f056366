"""A threshold of similarity below which an expression means nothing in an image, found without ground truth.

Beyond the papers. Sentences of the data set are true of their own image; a sentence of another image, laid against this
one's candidates, is taken for false. It may be true by chance ("man on the left"), so that the share of swapped
sentences without a mask is a lower bound of what a set of truly false ones would give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ops.refusal import Refused

Keep = float | Literal["balanced"]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A threshold and what it does to the sentences that it was found on."""

    threshold: float
    """100 * cosine; a sentence whose best score is below it means nothing here."""
    n_acc: float
    """Share of swapped sentences below it, which get no mask."""
    lost: float
    """Share of true sentences below it, whose masks are lost."""


def calibrate(true: Sequence[float], swapped: Sequence[float], *, keep: Keep) -> Calibration:
    """The threshold on the best score of a sentence among an image's candidates.

    A share keeps at least that part of the true sentences: the threshold is the highest score that does. `balanced`
    takes the score of a true sentence at which the mean of the two shares that are judged right (true sentences kept,
    swapped ones left out) is largest; of equals the lowest, which keeps most.

    Args:
        true: best score of each sentence among the candidates of its own referent.
        swapped: best score of each sentence among the candidates of a referent of another image.
        keep: a share from 0 to 1, or "balanced".

    Raises:
        Refused: there is no sentence of one kind to learn from.
    """
    if not true or not swapped:
        raise Refused(
            f"absent objects are calibrated on true and on swapped sentences; here are {len(true)} and {len(swapped)}: "
            "the data set needs images with candidates and sentences of more than one image; or set absent: null"
        )
    true_T, swapped_W = np.sort(np.asarray(true)), np.sort(np.asarray(swapped))
    if keep == "balanced":
        lost_T = np.searchsorted(true_T, true_T) / len(true_T)
        left_out_T = np.searchsorted(swapped_W, true_T) / len(swapped_W)
        threshold = float(true_T[np.argmax(left_out_T - lost_T)])
    else:
        threshold = float(true_T[min(int((1 - keep) * len(true_T) + 1e-9), len(true_T) - 1)])
    return Calibration(
        threshold=threshold,
        n_acc=float(np.mean(swapped_W < threshold)),
        lost=float(np.mean(true_T < threshold)),
    )
