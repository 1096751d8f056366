"""Pseudo-labels: random walk of response maps within instances, then a threshold (TRIS spec 4.5).

All referents of an image share its edges and displacements, so that their maps are propagated together.
Shapes: J referents and I instances of one image, K pairs of these, H x W pixels, h x w of the grid of every fourth one.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.tris.instance_clusters import instances
from ops.tris.random_walk import random_walk

THRESHOLD = 0.25
"""Pixels above this share of the referent's largest response are foreground."""
STRIDE = 4
"""Pixels of the image per pixel of the grid."""
MAPS_AT_ONCE = 64
"""Maps that are propagated and upsampled together: bounds memory where a displacement field has many instances."""


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the grid of an image."""
    return (height - 1) // STRIDE + 1, (width - 1) // STRIDE + 1


def refined_masks(
    maps_JHW: Tensor, edge_hw: Tensor, displacement_2hw: Tensor, *, threshold: float = THRESHOLD
) -> Tensor:
    """Refined masks of an image's referents from their response maps.

    Args:
        maps_JHW: responses >= 0, floating point, one a referent, at the image's size.
        edge_hw: probability of an edge, from `ops.tris.irnet.edges_and_displacements`.
        displacement_2hw: (dy, dx) to the instance's centroid, from there too.
        threshold: share of the referent's maximum.

    Returns:
        (J, H, W) bool; empty for a referent without any response.

    Raises:
        ValueError: edges or displacements have not the size of the image's grid.
    """
    grid = grid_size(maps_JHW.shape[1], maps_JHW.shape[2])
    if edge_hw.shape != grid or displacement_2hw.shape[1:] != grid:
        raise ValueError(
            f"edges {tuple(edge_hw.shape)} and displacements {tuple(displacement_2hw.shape)} do not lie on the "
            f"grid {grid} of {tuple(maps_JHW.shape[1:])} maps: compute them from the same image"
        )
    instances_Ihw = instances(displacement_2hw)
    small_Jhw = resized_to_grid(maps_JHW)
    strongest_JHW = torch.zeros_like(maps_JHW)
    for referents_K, instances_K in _pairs(small_Jhw, instances_Ihw):
        walked_Khw = random_walk(small_Jhw[referents_K] * instances_Ihw[instances_K], edge_hw)
        for referent, large_HW in zip(referents_K.tolist(), upsampled(walked_Khw, maps_JHW.shape[1:]), strict=True):
            torch.maximum(strongest_JHW[referent], large_HW, out=strongest_JHW[referent])
    return divided_by_maximum(strongest_JHW) > threshold


def _pairs(small_Jhw: Tensor, instances_Ihw: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Referents and instances such that the referent has a response in the instance, `MAPS_AT_ONCE` at a time."""
    overlap_JI = (small_Jhw > 0).flatten(1).float() @ instances_Ihw.flatten(1).float().T
    for pairs_K2 in overlap_JI.nonzero().split(MAPS_AT_ONCE):
        yield pairs_K2[:, 0], pairs_K2[:, 1]


def resized_to_grid(maps_JHW: Tensor) -> Tensor:
    """Responses resized to the grid, (J, h, w): bilinear, aligned corners."""
    grid = grid_size(maps_JHW.shape[1], maps_JHW.shape[2])
    return F.interpolate(maps_JHW[:, None], grid, mode="bilinear", align_corners=True)[:, 0]


def upsampled(walked_Khw: Tensor, size: Sequence[int]) -> Tensor:
    """Maps of the grid upsampled to the size (H, W) of the image, (K, H, W)."""
    large_KHW = F.interpolate(walked_Khw[:, None], scale_factor=STRIDE, mode="bilinear", align_corners=False)[:, 0]
    return large_KHW[:, : size[0], : size[1]]


def divided_by_maximum(strongest_JHW: Tensor) -> Tensor:
    """Each referent's responses divided by its maximum, (J, H, W); 0 if that is 0."""
    peak_J11 = strongest_JHW.amax((1, 2), keepdim=True)
    return torch.where(peak_J11 > 0, strongest_JHW / peak_J11, 0)
