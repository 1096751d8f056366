"""Localisation measures of response maps: PointIt, PointM and Acc_box at the image's own resolution (TRIS spec 6).

A map gives a mask by a threshold and a point by its maximum. IoUs of the masks are those of `ops.evaluation.iou`.
Shapes: h x w pixels of the model's output, H x W of the image, X boxes, R rows (one per expression).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ops.evaluation.iou import intersection_union
from ops.segmenters.lavt_decoder import upsample
from ops.tris.boxes import box_hit

Threshold = Literal["raw", "compat_divided"]

EPSILON = 1e-5
DIVIDED_THRESHOLD = 1e-9
REFERIT_AREA_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class Localisation:
    """Mask and point of a response map."""

    mask_HW: NDArray[np.bool_]
    point: tuple[int, int]
    """Row and column of the map's maximum, the first in reading order."""


def localise(map_hw: Tensor, size: tuple[int, int], *, threshold: Threshold = "raw") -> Localisation:
    """Mask and point of a map that is upsampled to the image's own size (bilinear, aligned corners).

    Args:
        map_hw: Step 1's ReLU'd response or Step 2's logit.
        size: (H, W).
        threshold: "raw": foreground is what is above 0. "compat_divided" first divides by the maximum, as the authors
            do: the same, unless all logits are negative; then all signs flip, so that the mask is the whole image and
            the point the minimum.
    """
    map_HW = upsample(map_hw[None, None].float(), size)[0, 0].cpu()
    least = 0.0
    if threshold == "compat_divided":
        map_HW, least = divided_by_maximum(map_HW), DIVIDED_THRESHOLD
    row, column = divmod(int(np.argmax(map_HW.numpy())), size[1])  # numpy promises the first of equals, torch does not
    return Localisation(mask_HW=(map_HW > least).numpy(), point=(row, column))


def divided_by_maximum(map_HW: Tensor) -> Tensor:
    """The map (H, W) divided by its maximum + 1e-5."""
    return map_HW / (map_HW.max() + EPSILON)


@dataclass(frozen=True, kw_only=True)
class ExpressionScore:
    """Counts and hits of one expression."""

    intersection: int
    union: int
    point_in_box: bool
    """PointIt: the point lies in any of the referent's boxes, borders included."""
    point_in_mask: bool
    """PointM: the ground truth is exactly 1 there; 2, where parts of a ReferIt mask overlap, is a miss."""
    box_hit: bool
    """Acc_box: a box of the mask has an IoU of more than 0.5 with the referent's first box."""


def score(
    prediction: Localisation, ground_truth_HW: ArrayLike | Tensor, boxes_X4: Sequence[Sequence[float]]
) -> ExpressionScore:
    """Score a localisation against the ground truth.

    Args:
        prediction: see `localise`.
        ground_truth_HW: at the image's own resolution, 1 on the referent; for the IoU any other value than 0 is, too.
        boxes_X4: the referent's boxes as x1, y1, x2, y2.

    Raises:
        ValueError: sizes differ or there is no box.
    """
    if len(boxes_X4) == 0:
        raise ValueError("an expression has no ground truth box: PointIt and Acc_box need one")
    ground_truth = np.asarray(ground_truth_HW)
    intersection, union = intersection_union(prediction.mask_HW, ground_truth)
    y, x = prediction.point
    return ExpressionScore(
        intersection=intersection,
        union=union,
        point_in_box=any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in boxes_X4),
        point_in_mask=bool(ground_truth[y, x] == 1),
        box_hit=box_hit(prediction.mask_HW, np.asarray(boxes_X4[0], np.float64)),
    )


def hit_rate(hits: Iterable[bool | None]) -> float | None:
    """Share of hits among the expressions that are scored (None is not); None if there are none."""
    scored = [hit for hit in hits if hit is not None]
    return sum(scored) / len(scored) if scored else None


def is_large_enough(box: Sequence[float], image_size: tuple[int, int]) -> bool:
    """Whether an annotation belongs to ReferIt's test set: its first box covers more than 5 % of the image (spec 1.8).

    Args:
        box: x1, y1, x2, y2.
        image_size: (H, W).
    """
    x1, y1, x2, y2 = box
    return (x2 - x1) * (y2 - y1) > REFERIT_AREA_SHARE * image_size[0] * image_size[1]
