"""Masks as COCO run-length bytes: small, exact, and read by every COCO tool.

Shapes: N masks, H x W pixels. Run lengths mean nothing without a size: `Rle` keeps both, as do the columns `rle`,
`height`, `width` of a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pycocotools import mask as coco

from storage.tables import column

BoolArray = NDArray[np.bool_]


LONGEST_OUTLINE = 2_000_000
"""Pixels along all polygons of an annotation; pycocotools reserves memory in proportion."""


class MaskError(ValueError):
    """Run lengths or an annotation that describe no mask of the size they come with."""


RLE_COLUMNS: tuple[pa.Field, ...] = (
    column("rle", pa.binary(), "mask as COCO compressed run lengths, column by column"),
    column("height", pa.int32(), "height of the mask in pixels"),
    column("width", pa.int32(), "width of the mask in pixels"),
)
"""The columns that `Rle.columns` fills."""


@dataclass(frozen=True)
class Rle:
    """One mask as COCO run lengths, which mean nothing without its size."""

    counts: bytes
    height: int
    width: int

    @classmethod
    def of(cls, mask_HW: BoolArray) -> Self:
        """Compress a mask; raises as `encode` does."""
        return cls(encode(mask_HW), mask_HW.shape[0], mask_HW.shape[1])

    @classmethod
    def union(cls, masks: Sequence["Rle"], *, height: int, width: int) -> Self:
        """Every pixel that any of the masks covers, which are of the given size; an empty mask for none."""
        if not masks:
            return cls.of(np.zeros((height, width), dtype=np.bool_))
        sizes = {(mask.height, mask.width) for mask in masks}
        if sizes != {(height, width)}:
            raise ValueError(f"Masks of (height, width) {sorted(sizes)} have no union of size {(height, width)}.")
        return cls(coco.merge([mask._object for mask in masks])["counts"], height, width)

    def decode(self) -> BoolArray:
        """Every pixel, (height, width) booleans; `MaskError` when the runs do not fill exactly that size."""
        return decode(self.counts, self.height, self.width)

    @property
    def area(self) -> int:
        """Foreground pixels."""
        return int(coco.area(self._object))

    def iou(self, other: "Rle") -> float:
        """Intersection over union with a mask of the same size; 0 where both are empty."""
        self._demand_size_of(other)
        return float(coco.iou([self._object], [other._object], [0])[0, 0])

    def pixels(self, other: "Rle") -> tuple[int, int]:
        """Pixels of intersection and union with a mask of the same size, counted on the run lengths."""
        self._demand_size_of(other)
        masks = [self._object, other._object]
        both, *areas = map(int, coco.area([coco.merge(masks, intersect=True), *masks]))
        return both, sum(areas) - both

    @property
    def _object(self) -> dict[str, Any]:
        """As pycocotools takes it."""
        return {"size": [self.height, self.width], "counts": self._sound}

    @cached_property
    def _sound(self) -> bytes:
        """The runs, checked once for pycocotools, which trusts what it counts or unites.

        Of runs that do not end where the mask does it never comes to an end, and it has room for as many runs of a
        union as there are pixels, which runs of no pixels exceed.
        """
        _check_runs(self.counts, self.height, self.width, of_pixels=True)
        return self.counts

    def _demand_size_of(self, other: "Rle") -> None:
        if (self.height, self.width) != (other.height, other.width):
            raise ValueError(
                f"A mask of {self.height} x {self.width} pixels is not compared with one of {other.height} x "
                f"{other.width}; bring both to one size."
            )

    def segmentation(self) -> dict[str, Any]:
        """The mask as COCO's JSON has it: `size`, and `counts` as text."""
        return {"size": [self.height, self.width], "counts": self.counts.decode("ascii")}

    def annotation(self) -> dict[str, Any]:
        """`segmentation`, `area` (pixels) and `bbox` (x, y, width, height), as COCO's JSON has them."""
        return {"segmentation": self.segmentation(), "area": self.area, "bbox": coco.toBbox(self._object).tolist()}

    def columns(self) -> dict[str, Any]:
        """The columns `rle`, `height`, `width` of a row."""
        return {"rle": self.counts, "height": self.height, "width": self.width}


def ious(masks: Sequence[Rle]) -> NDArray[np.float64]:
    """(M, M) IoU of every two of M masks, which have one size; 0 where both are empty."""
    for mask in masks:
        masks[0]._demand_size_of(mask)
    objects = [mask._object for mask in masks]
    return np.reshape(coco.iou(objects, objects, [0] * len(objects)), (len(objects),) * 2)


def encode(mask_HW: BoolArray) -> bytes:
    """Compress one mask; `decode` gives back every pixel.

    Raises:
        ValueError: not a 2-D array of booleans with at least one pixel.
    """
    if mask_HW.ndim != 2:
        raise ValueError(f"A mask has the shape (height, width), not {mask_HW.shape}.")
    return encode_many(mask_HW[None])[0]


def encode_many(masks_NHW: BoolArray) -> list[bytes]:
    """Compress N masks of one size; N may be 0. Raises as `encode` does."""
    if masks_NHW.dtype != np.bool_:
        raise ValueError(f"Masks are boolean, not {masks_NHW.dtype}; compare with a threshold first.")
    if masks_NHW.ndim != 3 or 0 in masks_NHW.shape[1:]:
        raise ValueError(f"Masks have the shape (N, height, width) with at least one pixel, not {masks_NHW.shape}.")
    masks_HWN = np.asfortranarray(masks_NHW.transpose(1, 2, 0).view(np.uint8))
    return [rle["counts"] for rle in coco.encode(masks_HWN)] if len(masks_NHW) else []


def decode(rle: bytes, height: int, width: int) -> BoolArray:
    """Expand a mask to (height, width) booleans; `MaskError` when the runs do not fill exactly that size."""
    return decode_many([rle], height, width)[0]


def decode_many(rles: Sequence[bytes], height: int, width: int) -> BoolArray:
    """Expand masks of one size to (N, height, width) booleans; raises as `decode` does."""
    if not rles:
        return np.zeros((0, height, width), dtype=np.bool_)
    for rle in rles:
        _check_runs(rle, height, width)
    masks_HWN = coco.decode([{"size": [height, width], "counts": rle} for rle in rles])
    return np.ascontiguousarray(masks_HWN.transpose(2, 0, 1)).view(np.bool_)


def mask_row(mask_HW: BoolArray) -> dict[str, Any]:
    """The columns `rle`, `height`, `width` of a row."""
    return Rle.of(mask_HW).columns()


def rasterise(
    segmentation: object, height: int, width: int, *, overlap: Literal["union", "compat"] = "union"
) -> BoolArray:
    """Turn a COCO annotation into a mask (S+S+C spec 1.4).

    Args:
        segmentation: a list of polygons [x0, y0, x1, y1, ...] in pixels, a run-length dict with `size` and `counts`
            (compressed text, or a list of runs), or a list of such dicts.
        height: of the image in pixels.
        width: of the image in pixels.
        overlap: `union` keeps pixels that any part covers; `compat` keeps those that exactly one part covers, as the
            authors' code does, so that overlapping parts leave holes.

    Returns:
        Booleans of shape (height, width).

    Raises:
        MaskError: nothing to draw, another layout, or a size that is not the image's.
    """
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    if not parts:
        raise MaskError("The annotation has no polygon and no run lengths; leave the object out.")
    dicts = [part for part in parts if isinstance(part, dict)]
    if len(dicts) == len(parts):
        rles = [_run_lengths(part, height, width) for part in dicts]
    else:
        rles = _polygons(parts, height, width)
    return _covered_once(rles, height, width) if overlap == "compat" else _covered(rles, height, width)


def _covered(rles: Sequence[bytes], height: int, width: int) -> BoolArray:
    """Pixels of any part. Parts are decoded one by one: an annotation may have thousands."""
    cover_HW = decode(rles[0], height, width)
    for rle in rles[1:]:
        cover_HW |= decode(rle, height, width)
    return cover_HW


def _covered_once(rles: Sequence[bytes], height: int, width: int) -> BoolArray:
    """Pixels of exactly one part."""
    once_HW = decode(rles[0], height, width)
    more_HW = np.zeros_like(once_HW)
    for rle in rles[1:]:
        part_HW = decode(rle, height, width)
        more_HW |= once_HW & part_HW
        once_HW |= part_HW
    return once_HW & ~more_HW


def _polygons(parts: list[Any], height: int, width: int) -> list[bytes]:
    """Parts with fewer than three corners enclose nothing and are left out (pycocotools would read four as a box)."""
    limit = 10 * max(height, width)  # pycocotools reserves memory in proportion to a coordinate
    polygons = []
    outline = 0.0
    for part in parts:
        if not isinstance(part, list) or len(part) % 2 or not all(type(x) in (int, float) for x in part):
            raise MaskError("A polygon is a list with an even number of coordinates [x0, y0, x1, y1, ...].")
        if not all(abs(x) <= limit for x in part):  # nor is NaN
            raise MaskError(f"A polygon leaves the {width} x {height} image by far; the annotation belongs to another.")
        if len(part) >= 6:
            polygons.append([float(x) for x in part])
            outline += _outline(polygons[-1])
    if not polygons:
        raise MaskError("No polygon of the annotation has three corners; leave the object out.")
    if outline > LONGEST_OUTLINE:
        raise MaskError(f"The outline is {outline:,.0f} pixels long, more than {LONGEST_OUTLINE:,}; draw it anew.")
    return [rle["counts"] for rle in coco.frPyObjects(polygons, height, width)]


def _outline(polygon: list[float]) -> float:
    """Its length in pixels, as pycocotools walks it: the longer side of each step."""
    corners_N2 = np.reshape(polygon, (-1, 2))
    return float(np.abs(corners_N2 - np.roll(corners_N2, 1, axis=0)).max(axis=1).sum())


def _run_lengths(part: dict[str, Any], height: int, width: int) -> bytes:
    size = part.get("size")
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(type(side) in (int, float) for side in size):
        raise MaskError(f"Run lengths without a size do not fit an image of height {height}, width {width}.")
    if list(size) != [height, width]:
        raise MaskError(f"Run lengths of size {list(size)} do not fit an image of height {height}, width {width}.")
    counts = part.get("counts")
    if isinstance(counts, bytes):
        return counts
    if isinstance(counts, str) and counts.isascii():
        return counts.encode()
    # pycocotools reserves no byte for the end of no runs, and writes it
    if not isinstance(counts, list) or not counts or not all(_is_run(run) and run <= height * width for run in counts):
        raise MaskError("Run lengths are compressed text or a list of whole numbers from 0 to height x width.")
    runs = [int(run) for run in counts]
    return coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"]


def _is_run(run: object) -> bool:
    return (type(run) is int or (type(run) is float and run.is_integer())) and run >= 0


def _check_runs(rle: bytes, height: int, width: int, *, of_pixels: bool = False) -> None:
    """Refuse run lengths that do not fill the mask: pycocotools reads past their end or leaves pixels unset.

    With `of_pixels` also runs of none, but for the first, which is the background's.

    A number has 5 bits a byte, low ones first; bit 5 says "more", bit 4 of the last byte is the sign. From the fourth
    on, a number is the difference to the one two before.
    """
    codes = np.frombuffer(rle, dtype=np.uint8).astype(np.int64) - 48
    last = (codes & 0x20) == 0
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise MaskError("The run lengths are not COCO compressed text; the table or the annotation is damaged.")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if place.max() > 6:
        raise MaskError("A run length is beyond any image; the table or the annotation is damaged.")
    runs = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    runs -= np.where(codes[ends] & 0x10, 1 << (5 * (place[ends] + 1)), 0)
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    fills = min(height, width) > 0 and runs.min() >= 0 and runs.sum() == height * width < 2**32
    if not fills or (of_pixels and not runs[1:].all()):
        raise MaskError(
            f"The run lengths do not fill {height} x {width} pixels; they are damaged, or the size is another mask's."
        )
