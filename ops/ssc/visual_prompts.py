"""Visual prompts of candidate masks for CLIP: reverse blur, red ellipse, red rectangle (S+S+C Eq. 1, spec 3.3 and 3.5).

`compat` colours reproduce the authors' code, which passes CLIP images with red and blue exchanged.
Shapes: N candidates, H x W pixels.
"""

import math
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ops.boxes import Box, tight_box
from ops.images import BlurMode, gaussian_blur

Colours = Literal["rgb", "compat_swapped"]
Masks = Tensor | NDArray[np.bool_]
Canvas = NDArray[np.uint8]
"""(H, W); pixels of the outline are 1."""

MARGIN = 4
"""Pixels between a mask's box and the outline around it (spec 3.5)."""
THICKNESS = 4
"""Width of the outline in pixels (spec 3.5)."""
RED = (255, 0, 0)


def reverse_blur(
    image_3HW: Tensor, masks_NHW: Masks, *, sigma: float = 50.0, mode: BlurMode = "fast", colours: Colours = "rgb"
) -> Tensor:
    """Reverse blur: keep each candidate sharp and blur everything else (spec 3.3).

    Args:
        image_3HW: uint8 RGB at the image's own resolution.
        masks_NHW: candidates at the same resolution.
        sigma: of the blur, in pixels of this image.
        mode: see `gaussian_blur`.
        colours: "compat_swapped" returns blue, green, red, as the authors' code passes them to CLIP.

    Returns:
        (N, 3, H, W) uint8.
    """
    masks_NHW = _aligned(masks_NHW, image_3HW)
    blurred_3HW = gaussian_blur(image_3HW, sigma=sigma, mode=mode)  # once per image, not once per mask
    return _ordered(torch.where(masks_NHW[:, None], image_3HW, blurred_3HW), colours)


def red_ellipse(image_3HW: Tensor, masks_NHW: Masks, *, colours: Colours = "rgb") -> Tensor:
    """Red ellipse, 4 pixels thick, around each candidate (spec 3.5); (N, 3, H, W) uint8.

    The semi-axes are those of the box plus a margin of 4 pixels. "compat_swapped" adds the margin twice, truncates
    centre and axes to whole pixels, and exchanges red and blue, also of the ellipse: it is blue to CLIP.
    """
    draw = _compat_ellipse if colours == "compat_swapped" else _ellipse
    return _outlined(image_3HW, masks_NHW, draw, colours)


def red_rectangle(image_3HW: Tensor, masks_NHW: Masks, *, colours: Colours = "rgb") -> Tensor:
    """Red rectangle, 4 pixels thick, 4 pixels around each candidate's box (spec 3.5); (N, 3, H, W) uint8."""
    return _outlined(image_3HW, masks_NHW, _rectangle, colours)


def _ellipse(canvas_HW: Canvas, box: Box) -> None:
    x0, y0, x1, y1 = _inclusive(box)
    centre, axes = (x0 + x1, y0 + y1), (x1 - x0 + 2 * MARGIN, y1 - y0 + 2 * MARGIN)
    cv2.ellipse(canvas_HW, centre, axes, 0, 0, 360, 1, THICKNESS, shift=1)  # all in half pixels


def _compat_ellipse(canvas_HW: Canvas, box: Box) -> None:
    x0, y0, x1, y1 = _inclusive(box)
    centre = math.trunc((x0 + x1) / 2), math.trunc((y0 + y1) / 2)
    axes = math.trunc((x1 - x0) / 2 + 2 * MARGIN), math.trunc((y1 - y0) / 2 + 2 * MARGIN)
    cv2.ellipse(canvas_HW, centre, axes, 0, 0, 360, 1, THICKNESS)


def _rectangle(canvas_HW: Canvas, box: Box) -> None:
    x0, y0, x1, y1 = _inclusive(box)
    cv2.rectangle(canvas_HW, (x0 - MARGIN, y0 - MARGIN), (x1 + MARGIN, y1 + MARGIN), 1, THICKNESS)


def _inclusive(box: Box) -> Box:
    """A box as first and last column and row: x0, y0, x1, y1, all within it."""
    x0, y0, x1, y1 = box
    return x0, y0, x1 - 1, y1 - 1


def _outlined(image_3HW: Tensor, masks_NHW: Masks, draw: Callable[[Canvas, Box], None], colours: Colours) -> Tensor:
    """Copies of the image (N, 3, H, W) with a red outline; that of an empty mask has none."""
    masks_NHW = _aligned(masks_NHW, image_3HW)
    images_N3HW = _ordered(image_3HW[None], colours).repeat(len(masks_NHW), 1, 1, 1)
    # The authors' red is (0, 0, 255) on a blue-green-red array, which CLIP takes for red-green-blue: blue.
    colour_3 = torch.tensor(RED if colours == "rgb" else RED[::-1], dtype=torch.uint8, device=image_3HW.device)
    for outlined_3HW, mask_HW in zip(images_N3HW, masks_NHW.cpu().numpy(), strict=True):
        if (box := tight_box(mask_HW)) is not None:
            canvas_HW = np.zeros(mask_HW.shape, np.uint8)
            draw(canvas_HW, box)
            outlined_3HW[:, torch.from_numpy(canvas_HW > 0).to(image_3HW.device)] = colour_3[:, None]
    return images_N3HW


def _aligned(masks_NHW: Masks, image_3HW: Tensor) -> Tensor:
    """The masks as bool on the image's device; refused unless they have its size."""
    masks = torch.as_tensor(masks_NHW, device=image_3HW.device).bool()
    if masks.ndim != 3 or masks.shape[1:] != image_3HW.shape[1:]:
        raise ValueError(
            f"masks {tuple(masks.shape)} do not lie on the image {tuple(image_3HW.shape)}: "
            "pass (N, H, W) masks at the image's own resolution"
        )
    return masks


def _ordered(images_N3HW: Tensor, colours: Colours) -> Tensor:
    """Images with their channels in the order of `colours`."""
    return images_N3HW.flip(1) if colours == "compat_swapped" else images_N3HW
