"""Which pixels of a painted mask are the object.

A mask is black, or clear, where the object is not. One rule for all formats:

1. One colour beside black, whichever it is (white, a dark red, the number 1), and each of its pixels is the object.
2. In an image with a palette whose colours are not just greys, the entries are numbers, and 255 beside another number
   is the border that VOC leaves undecided: no object.
3. Between black and the brightest colour, as soft edges and JPEG have it, a pixel is the object from half as bright
   as the brightest one on.

A mask is refused where that would be a guess: several flat colours or numbers (which of them is the object?), a flat
colour with lines of more than twice its brightness (are they its border?), edges so soft that more than a fifth of the
object lies more than a pixel inside them, a lossy file of nearly one colour.

Shapes: H x W pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ops.refusal import Refused
from resources.datasets.image_colours import CLEAR_MODES, SIXTEEN_BIT_MODES, Samples, alpha_of, numbers

VOID = 255
"""Entry of a palette that VOC draws around its objects."""
HALF = 0.5
"""Share of the brightest colour from which on a pixel is the object."""
CERTAIN = 0.125
"""Within this share of black or of the brightest colour a pixel is certain."""
MOST_UNCERTAIN = 0.2
"""Of the object's pixels, those inside of soft edges."""
LEAST_COLOUR = 0.01
"""Of the painted pixels; a flat colour of fewer is no second colour."""
DARKEST_LOSSY = 16
"""Grey level; the noise of JPEG reaches as far."""

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def painted(image: Image.Image, samples: Samples) -> NDArray[np.bool_]:
    """The object of a decoded mask, HW.

    Args:
        image: decoded and upright.
        samples: what its decoder said of it.

    Raises:
        Refused: the mask holds several colours or numbers, or its edges are no edges.
    """
    paint_HW, levels_HW = _paint(image, samples)
    alpha = alpha_of(image, samples)
    if alpha is not None and (alpha_HW := np.asarray(alpha)).min() < 255:
        return _bright(np.where(paint_HW > 0, alpha_HW, 0).astype(np.float32), brightest=255.0)
    kinds = np.unique(paint_HW[paint_HW > 0])
    if len(kinds) <= 1:
        return np.asarray(paint_HW > 0)
    if not samples.lossy:
        return _of_one_colour(paint_HW, kinds, levels_HW)
    brightest = float(levels_HW.max())
    if brightest < DARKEST_LOSSY:
        raise Refused("is too dark to tell the object from the noise of its compression; paint in white, save as PNG")
    within = levels_HW[levels_HW > brightest / 2]  # compression overshoots along edges: the brightest is not the colour
    return _bright(levels_HW, brightest=float(np.median(within)))


def _paint(image: Image.Image, samples: Samples) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """What each pixel is painted with (0: nothing) and how bright that is."""
    if image.mode in SIXTEEN_BIT_MODES or image.mode == "I":
        paint_HW = numbers(image, samples)
        return paint_HW, paint_HW.astype(np.float32)
    if image.mode == "P" and not _is_grey(image):
        return _palette_numbers(image)
    if image.mode in CLEAR_MODES:
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    rgb_HW3 = np.asarray(image.convert("RGB")).astype(np.int64)
    return rgb_HW3 @ np.array([65536, 256, 1]), rgb_HW3.max(2).astype(np.float32)


def _palette(image: Image.Image) -> NDArray[np.int64]:
    return np.array(image.getpalette("RGB") or [], dtype=np.int64).reshape(-1, 3)


def _is_grey(image: Image.Image) -> bool:
    """Whether the entries in use are greys of their own number, as of an image that was converted."""
    palette_N3, used = _palette(image), np.unique(np.asarray(image))
    return bool(used.max() < len(palette_N3) and (palette_N3[used] == used[:, None]).all())


def _palette_numbers(image: Image.Image) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Colours of the entries, VOC's border taken off."""
    entries_HW, palette_N3 = np.asarray(image), _palette(image)
    colours_N3 = np.zeros((256, 3), np.int64)
    colours_N3[: len(palette_N3)] = palette_N3[:256]
    numbers_N = (colours_N3 @ np.array([65536, 256, 1])).astype(np.int64)
    paint_HW = numbers_N[entries_HW]
    inside_HW = (paint_HW > 0) & (entries_HW != VOID)
    if inside_HW.any():
        paint_HW = np.where(inside_HW, paint_HW, 0)
    return paint_HW, np.where(paint_HW > 0, colours_N3.max(1)[entries_HW], 0).astype(np.float32)


def _flat_colours(paint_HW: NDArray[np.int64], kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Colours of flat areas; several are the mark of a label map."""
    code_HW = np.searchsorted(kinds, paint_HW, side="left").astype(np.float32)
    code_HW[paint_HW == 0] = -1
    flat_HW = (cv2.dilate(code_HW, _NEIGHBOURS) == cv2.erode(code_HW, _NEIGHBOURS)) & (paint_HW > 0)
    found, counts = np.unique(paint_HW[flat_HW], return_counts=True)
    return np.asarray(found[counts > LEAST_COLOUR * (paint_HW > 0).sum()])


def _of_one_colour(
    paint_HW: NDArray[np.int64], kinds: NDArray[np.int64], levels_HW: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """The object of a mask that keeps every pixel; refused where it has several colours, or a border outshines it."""
    flat, advice = _flat_colours(paint_HW, kinds), "paint one object in one colour, all else black or clear"
    if len(flat) > 1:
        raise Refused(f"holds {len(flat)} colours beside black; {advice}")
    object_HW = _bright(levels_HW, brightest=float(levels_HW.max()))
    if len(flat) == 1 and not object_HW[paint_HW == flat[0]].all():
        raise Refused(f"holds lines that are brighter than its object, as the border of a label map is; {advice}")
    return object_HW


def _bright(levels_HW: NDArray[np.float32], *, brightest: float) -> NDArray[np.bool_]:
    """At least half as bright as the brightest, where that is no guess."""
    share_HW = levels_HW / brightest
    object_HW = share_HW >= HALF
    between_HW = ((share_HW > CERTAIN) & (share_HW < 1 - CERTAIN)).astype(np.uint8)
    uncertain = int(cv2.erode(between_HW, _NEIGHBOURS).sum())
    if uncertain > MOST_UNCERTAIN * object_HW.sum():
        raise Refused(
            f"has {uncertain:,} pixels between black and the object's colour beside its edges, more than "
            f"{100 * MOST_UNCERTAIN:.0f} % of the object; save it with two values, black and white"
        )
    return np.asarray(object_HW)
