"""Instances from a displacement field: where pixels drift to, which end at the same place (TRIS spec 4.5).

Shapes: H x W pixels of the quarter-size grid, K instances.
"""

import torch
from scipy import ndimage
from torch import Tensor

STEPS = 300
"""Moves of each pixel along the field."""
STILL = 2.5
"""Displacements shorter than so many pixels mark the neighbourhood of a centroid."""


def centroids(displacement_2HW: Tensor, *, steps: int = STEPS) -> Tensor:
    """Follow the field (dy, dx), sampled bilinearly, from every pixel; (2, H, W) int64 rows and columns on the map."""
    height, width = displacement_2HW.shape[1:]
    field_2HW, device = displacement_2HW.float(), displacement_2HW.device
    last_211 = torch.tensor([height - 1, width - 1], device=device)[:, None, None]
    axes = torch.arange(height, device=device), torch.arange(width, device=device)
    place_2HW = torch.stack(torch.meshgrid(*axes, indexing="ij")).float()
    for _ in range(steps):
        place_2HW = torch.minimum((place_2HW + _sampled(field_2HW, place_2HW)).clamp_(min=0), last_211)
    return place_2HW.round().long()


def _sampled(field_2HW: Tensor, place_2HW: Tensor) -> Tensor:
    """Bilinear values of the field at real-valued rows and columns that lie on the map."""
    (top_HW, left_HW), (bottom_HW, right_HW) = place_2HW.floor().long(), place_2HW.ceil().long()
    below_HW, beside_HW = place_2HW - place_2HW.floor()
    upper_2HW = field_2HW[:, top_HW, left_HW] * (1 - beside_HW) + field_2HW[:, top_HW, right_HW] * beside_HW
    lower_2HW = field_2HW[:, bottom_HW, left_HW] * (1 - beside_HW) + field_2HW[:, bottom_HW, right_HW] * beside_HW
    return upper_2HW * (1 - below_HW) + lower_2HW * below_HW


def instances(displacement_2HW: Tensor, *, steps: int = STEPS) -> Tensor:
    """Divide the whole picture among centroids, (K, H, W) bool with exactly one True a pixel.

    Pixels belong together when their centroids lie in the same 4-connected region of still pixels. Those whose centroid
    lies in none form an instance of their own, the first, if there are any.
    """
    still_HW = displacement_2HW.float().norm(dim=0) < STILL
    region_HW = torch.from_numpy(ndimage.label(still_HW.cpu().numpy())[0]).to(displacement_2HW.device)
    rows_HW, columns_HW = centroids(displacement_2HW, steps=steps)
    found, number_HW = region_HW[rows_HW, columns_HW].unique(return_inverse=True)
    return number_HW == torch.arange(len(found), device=number_HW.device)[:, None, None]
