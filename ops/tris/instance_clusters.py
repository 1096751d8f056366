"""Instance clusters of a displacement field: pixels whose displacements end at one centroid (TRIS spec 4.5).

Shapes: H x W pixels of the quarter-size grid, K instances.
"""

import torch
from scipy import ndimage
from torch import Tensor

STEPS = 300
"""Number of displacements that each pixel follows."""
CENTROID_DISPLACEMENT = 2.5
"""Pixels with a shorter displacement are the neighbourhood of a centroid; in pixels."""


def centroids(displacement_2HW: Tensor, *, steps: int = STEPS) -> Tensor:
    """End points of pixels that follow the field (dy, dx), sampled bilinearly: rows and columns, (2, H, W) int64."""
    height, width = displacement_2HW.shape[1:]
    field_2HW, device = displacement_2HW.float(), displacement_2HW.device
    last_211 = torch.tensor([height - 1, width - 1], device=device)[:, None, None]
    axes = torch.arange(height, device=device), torch.arange(width, device=device)
    position_2HW = torch.stack(torch.meshgrid(*axes, indexing="ij")).float()
    for _ in range(steps):
        position_2HW = torch.minimum((position_2HW + _sampled(field_2HW, position_2HW)).clamp_(min=0), last_211)
    return position_2HW.round().long()


def _sampled(field_2HW: Tensor, position_2HW: Tensor) -> Tensor:
    """Bilinear samples (2, H, W) of the field at real-valued rows and columns that lie on the map."""
    (top_HW, left_HW), (bottom_HW, right_HW) = position_2HW.floor().long(), position_2HW.ceil().long()
    below_HW, beside_HW = position_2HW - position_2HW.floor()
    upper_2HW = field_2HW[:, top_HW, left_HW] * (1 - beside_HW) + field_2HW[:, top_HW, right_HW] * beside_HW
    lower_2HW = field_2HW[:, bottom_HW, left_HW] * (1 - beside_HW) + field_2HW[:, bottom_HW, right_HW] * beside_HW
    return upper_2HW * (1 - below_HW) + lower_2HW * below_HW


def instances(displacement_2HW: Tensor, *, steps: int = STEPS) -> Tensor:
    """Partition of an image into instances, (K, H, W) bool with exactly one True a pixel.

    Pixels are of one instance if their centroids lie in the same 4-connected region of pixels with a short
    displacement. Pixels whose centroid lies in no such region form an instance, the first, if there are any.
    """
    short_HW = displacement_2HW.float().norm(dim=0) < CENTROID_DISPLACEMENT
    region_HW = torch.from_numpy(ndimage.label(short_HW.cpu().numpy())[0]).to(displacement_2HW.device)
    rows_HW, columns_HW = centroids(displacement_2HW, steps=steps)
    regions_K, number_HW = region_HW[rows_HW, columns_HW].unique(return_inverse=True)
    return number_HW == torch.arange(len(regions_K), device=number_HW.device)[:, None, None]
