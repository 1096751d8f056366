"""Tight boxes around masks.

Shapes: H x W pixels.
"""

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1: first column and row, then the column and row behind the last, as COCO's x + width."""


def tight_box(mask_HW: NDArray[np.bool_]) -> Box | None:
    """The smallest box with every pixel of a mask (H, W) in it; None if the mask is empty."""
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
