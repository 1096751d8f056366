"""An image as the visual prompt of a knob shows each candidate (S+S+C spec 3.3 to 3.5).

Shapes: N candidates, H x W pixels, S the side of a square.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from assets.data.images import Pixels
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.tables import CandidateRow
from ops.images import to_tensor
from ops.ssc.visual_prompts import Colours, red_ellipse, reverse_blur
from resources.models.clip_images import Preparation, prepare_images


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


def squares(
    knobs: ChoiceKnobs, masks: Sequence[CandidateRow], pixels: Pixels, *, size: int, preparation: Preparation
) -> list[Pixels]:
    """The picture (S, S, 3) of each candidate that a CLIP gets, but for its size, which is `size`."""
    shown_N3HW = prompted(knobs, to_tensor(pixels), decoded(masks))
    squares_N3SS = prepare_images(shown_N3HW, size=size, crop=knobs.crop, preparation=preparation)
    mean_311, std_311 = (torch.tensor(numbers).view(3, 1, 1) for numbers in (preparation.mean, preparation.std))
    colours_N3SS = (255 * (squares_N3SS * std_311 + mean_311)).round().clamp(0, 255).byte()
    return [np.ascontiguousarray(picture) for picture in colours_N3SS.permute(0, 2, 3, 1).numpy()]
