"""Masks as one polygon each, for formats that have no holes and no second parts.

Shapes: H x W pixels, N corners.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.int32]
"""(N, 2) x, y of pixels."""


def one_polygon(mask_HW: NDArray[np.bool_]) -> Corners:
    """The outline of a mask as one closed line through its outermost pixels.

    Drawn with its line and filled by the even-odd rule (`cv2.fillPoly`), a part without holes gives every pixel back.
    Other parts and holes hang on it by a line there and back between the nearest corners: between parts the line adds
    pixels, at most one wide; in a hole that it crosses, likewise.

    Raises:
        ValueError: the mask is empty.
    """
    contours, _ = cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        raise ValueError("an empty mask has no outline; leave it out")
    lines = sorted((np.asarray(one, np.int32).reshape(-1, 2) for one in contours), key=cv2.contourArea, reverse=True)
    outline = _joined(lines)
    return np.concatenate([outline, np.repeat(outline[-1:], max(3 - len(outline), 0), axis=0)])


def _joined(lines: Sequence[Corners]) -> Corners:
    outline = lines[0]
    for line in lines[1:]:
        here, there = _nearest(outline, line)
        loop = np.concatenate([line[there:], line[: there + 1]])
        outline = np.concatenate([outline[: here + 1], loop, outline[here:]])
    return outline


def _nearest(one: Corners, other: Corners) -> tuple[int, int]:
    """The rows of the two corners that lie nearest to each other."""
    best, pair = np.inf, (0, 0)
    for start in range(0, len(one), 1024):  # in parts, so that ragged outlines need no memory of their product
        distances_NM = np.square(one[start : start + 1024, None].astype(np.int64) - other[None]).sum(-1)
        row, column = np.unravel_index(distances_NM.argmin(), distances_NM.shape)
        if distances_NM[row, column] < best:
            best, pair = float(distances_NM[row, column]), (start + int(row), int(column))
    return pair
