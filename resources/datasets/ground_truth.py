"""Ground-truth masks in COCO's forms, for evaluation only; the bytes are `storage.masks`' business."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resources.datasets.records import GroundTruth
from storage.masks import MaskError, Rle, rasterise


def ground_truth_mask(truth: GroundTruth, *, overlap: Literal["union", "compat"] = "union") -> NDArray[np.bool_]:
    """Decode the mask of an object to bool HW (spec 1.4).

    Args:
        truth: The object.
        overlap: `union` keeps pixels covered by any part; `compat` drops pixels that two parts cover, as the original
            loader does.

    Raises:
        MaskError: A segmentation that does not fit the image.
    """
    return rasterise(truth.segmentation, truth.height, truth.width, overlap=overlap)


def encode_ground_truth(mask_HW: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask as COCO's compressed RLE with `counts` as text."""
    return Rle.of(mask_HW).segmentation()


def segmentation_problem(segmentation: object, height: int, width: int) -> str | None:
    """Why a segmentation can not be decoded at an image's size, or None."""
    try:
        mask_HW = rasterise(segmentation, height, width)
    except MaskError as problem:
        return f"the segmentation can not be read ({problem})"
    return None if mask_HW.any() else "the segmentation covers no pixel"
