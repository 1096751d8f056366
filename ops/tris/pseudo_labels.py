"""Pseudo-labels: response maps walk inside their instances, and what stays strong is the object (TRIS spec 4.5).

All objects of a picture share its edges and displacements, so all of them walk at once.
Shapes: J objects and I instances of one picture, H x W pixels of the picture, h x w of its grid of every fourth pixel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.tris.instances import instances
from ops.tris.walk import random_walk

THRESHOLD = 0.25
"""Share of an object's strongest response that makes a pixel foreground."""
STRIDE = 4
"""Pixels of the picture per step of the grid."""


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
    grid = grid_size(*maps_JHW.shape[1:])
    if edge_hw.shape != grid or displacement_2hw.shape[1:] != grid:
        raise ValueError(
            f"edges {tuple(edge_hw.shape)} and displacements {tuple(displacement_2hw.shape)} do not lie on the "
            f"grid {grid} of {tuple(maps_JHW.shape[1:])} maps: compute them from the same picture"
        )
    parts_Ihw = instances(displacement_2hw)
    walked_JIhw = walked(maps_JHW, edge_hw, parts_Ihw)
    return torch.stack([union(shares(walked_Ihw, maps_JHW.shape[1:]), threshold) for walked_Ihw in walked_JIhw])


def walked(maps_JHW: Tensor, edge_hw: Tensor, parts_Ihw: Tensor) -> Tensor:
    """Each object's map inside each instance after the random walk, (J, I, h, w)."""
    small_Jhw = F.interpolate(maps_JHW[None], edge_hw.shape, mode="bilinear", align_corners=True)[0]
    starts_JIhw = small_Jhw[:, None] * parts_Ihw
    return random_walk(starts_JIhw.flatten(0, 1), edge_hw).view(starts_JIhw.shape)


def shares(walked_Ihw: Tensor, size: tuple[int, ...]) -> Tensor:
    """An object's instances at the picture's size, (I, H, W), as shares of its strongest response; 0 if it has none."""
    height, width = size
    large_IHW = F.interpolate(walked_Ihw[None], scale_factor=STRIDE, mode="bilinear", align_corners=False)[0]
    large_IHW = large_IHW[:, :height, :width]
    strongest = large_IHW.amax()
    return torch.where(strongest > 0, large_IHW / strongest, 0)


def union(shares_IHW: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Pixels where any instance is above the threshold, (H, W) bool; ties are background."""
    return shares_IHW.amax(0) > threshold
