"""Pseudo-labels: response maps walk inside their instances, and what stays strong is the object (TRIS spec 4.5).

All objects of a picture share its edges and displacements, so all of them walk at once.
Shapes: J objects and I instances of one picture, K pairs of these, H x W pixels, h x w of the grid of every fourth one.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.tris.instance_clusters import instances
from ops.tris.random_walk import random_walk

THRESHOLD = 0.25
"""Share of an object's strongest response that makes a pixel foreground."""
STRIDE = 4
"""Pixels of the picture per step of the grid."""
WALKERS = 64
"""Maps that walk and are enlarged together, which bounds memory where a poor displacement field has many instances."""


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the grid on a picture."""
    return (height - 1) // STRIDE + 1, (width - 1) // STRIDE + 1


def refined_masks(
    maps_JHW: Tensor, edge_hw: Tensor, displacement_2hw: Tensor, *, threshold: float = THRESHOLD
) -> Tensor:
    """Refine the response maps of a picture's objects into masks.

    Args:
        maps_JHW: responses >= 0, floating point, one an object, at the picture's size.
        edge_hw: probability of an edge, from `ops.tris.irnet.look`.
        displacement_2hw: (dy, dx) to the instance's centroid, from there too.
        threshold: share of the object's maximum.

    Returns:
        (J, H, W) bool; an object without any response gets an empty mask.

    Raises:
        ValueError: edges or displacements have not the size of the picture's grid.
    """
    grid = grid_size(maps_JHW.shape[1], maps_JHW.shape[2])
    if edge_hw.shape != grid or displacement_2hw.shape[1:] != grid:
        raise ValueError(
            f"edges {tuple(edge_hw.shape)} and displacements {tuple(displacement_2hw.shape)} do not lie on the "
            f"grid {grid} of {tuple(maps_JHW.shape[1:])} maps: compute them from the same picture"
        )
    parts_Ihw = instances(displacement_2hw)
    small_Jhw = on_grid(maps_JHW)
    strongest_JHW = torch.zeros_like(maps_JHW)
    for owners_K, parts_K in _walkers(small_Jhw, parts_Ihw):
        walked_Khw = random_walk(small_Jhw[owners_K] * parts_Ihw[parts_K], edge_hw)
        for owner, large_HW in zip(owners_K.tolist(), enlarged(walked_Khw, maps_JHW.shape[1:]), strict=True):
            torch.maximum(strongest_JHW[owner], large_HW, out=strongest_JHW[owner])
    return relative(strongest_JHW) > threshold


def _walkers(small_Jhw: Tensor, parts_Ihw: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Objects and instances where the one has a response inside the other, `WALKERS` at a time."""
    share_JI = (small_Jhw > 0).flatten(1).float() @ parts_Ihw.flatten(1).float().T
    for some_K2 in share_JI.nonzero().split(WALKERS):
        yield some_K2[:, 0], some_K2[:, 1]


def on_grid(maps_JHW: Tensor) -> Tensor:
    """Responses at the pixels of the grid, corners on corners, (J, h, w)."""
    grid = grid_size(maps_JHW.shape[1], maps_JHW.shape[2])
    return F.interpolate(maps_JHW[:, None], grid, mode="bilinear", align_corners=True)[:, 0]


def enlarged(walked_Khw: Tensor, size: Sequence[int]) -> Tensor:
    """Maps of the grid at the size (H, W) of the picture, (K, H, W)."""
    large_KHW = F.interpolate(walked_Khw[:, None], scale_factor=STRIDE, mode="bilinear", align_corners=False)[:, 0]
    return large_KHW[:, : size[0], : size[1]]


def relative(strongest_JHW: Tensor) -> Tensor:
    """Each object's responses as shares of its maximum; 0 where it has none."""
    peak_J11 = strongest_JHW.amax((1, 2), keepdim=True)
    return torch.where(peak_J11 > 0, strongest_JHW / peak_J11, 0)
