"""An image as the visual prompt of a knob shows each candidate (S+S+C spec 3.3 to 3.5). Shapes: N candidates."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.tables import CandidateRow
from ops.ssc.visual_prompts import Colours, red_ellipse, reverse_blur


def prompted(knobs: ChoiceKnobs, image_3HW: Tensor, masks_NHW: np.ndarray) -> Tensor:
    """(N, 3, H, W) uint8: the image as each candidate's visual prompt shows it."""
    colours: Colours = "compat_swapped" if knobs.compat else "rgb"
    if knobs.prompt == "red_ellipse":
        return red_ellipse(image_3HW, masks_NHW, colours=colours)
    sigma = knobs.sigma if knobs.sigma >= 1 else knobs.sigma * max(image_3HW.shape[1:])
    return reverse_blur(image_3HW, masks_NHW, sigma=sigma, mode=knobs.blur, colours=colours)


def decoded(masks: Sequence[CandidateRow]) -> np.ndarray:
    """(N, H, W) booleans of candidates."""
    return np.stack([candidate.mask.decode() for candidate in masks])
