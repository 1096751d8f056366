"""True masks in COCO's forms: checked, decoded, encoded. For evaluation only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from resources.datasets.records import TrueObject


def true_mask(truth: TrueObject, *, overlap: str = "union") -> NDArray[np.bool_]:
    """Decode the mask of an object to bool HW (spec 1.4).

    Args:
        truth: The object.
        overlap: `union` keeps pixels covered by any part; `compat` drops pixels that two parts cover, as the original
            loader does.

    Raises:
        ValueError: An unknown `overlap`, or a segmentation that does not fit the image.
    """
    if overlap not in ("union", "compat"):
        raise ValueError(f"unknown overlap rule {overlap!r}; choose union or compat")
    parts = _parts(truth.segmentation, truth.height, truth.width)
    covered_HW = np.zeros((truth.height, truth.width), np.int64)
    for part in parts:
        covered_HW += _decode(part)
    return np.equal(covered_HW, 1) if overlap == "compat" else np.greater(covered_HW, 0)


def encode_true_mask(mask_HW: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask as COCO's compressed RLE with `counts` as text."""
    rle = coco.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def segmentation_problem(segmentation: object, height: int, width: int) -> str | None:
    """Why a segmentation can not be decoded at an image's size, or None."""
    try:
        parts = _parts(segmentation, height, width)
        empty = not parts or not sum(int(area) for area in coco.area(parts))
    except (ValueError, TypeError, KeyError, IndexError) as problem:
        return f"the segmentation can not be read ({problem})"
    return "the segmentation covers no pixel" if empty else None


def _parts(segmentation: object, height: int, width: int) -> list[dict[str, Any]]:
    if isinstance(segmentation, dict):
        return [_run_lengths(segmentation, height, width)]
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("no polygon and no RLE")
    if all(isinstance(part, dict) for part in segmentation):
        return [_run_lengths(part, height, width) for part in segmentation]
    reach = 2 * max(height, width)
    for part in segmentation:
        if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
            raise ValueError("a polygon needs at least three x, y pairs")
        if not (np.abs(np.asarray(part, dtype=np.float64)) <= reach).all():
            raise ValueError("a polygon lies far outside the image")
    return list(coco.frPyObjects(segmentation, height, width))


def _run_lengths(rle: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    size, counts = [int(side) for side in rle["size"]], rle["counts"]
    if size != [height, width]:
        raise ValueError(f"it is {size[1]} x {size[0]} pixels, its image {width} x {height}")
    if isinstance(counts, bytes):
        counts = counts.decode("ascii")
    runs = _runs(counts) if isinstance(counts, str) else [int(run) for run in counts]
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError("its run lengths do not add up to the image")  # pycocotools would read past the end
    if isinstance(counts, str):
        return {"size": size, "counts": counts.encode("ascii")}
    return dict(coco.frPyObjects({"size": size, "counts": runs}, height, width))


def _decode(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """A compressed RLE as bool HW; pycocotools' own decoder trips over numpy 2's rules for copies."""
    height, width = rle["size"]
    runs = np.asarray(_runs(rle["counts"].decode("ascii")))
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _runs(counts: str) -> list[int]:
    """The run lengths in COCO's text: 5 bits a character, least significant first, differences from the third on."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its run lengths end in the middle of a number")
    return runs
