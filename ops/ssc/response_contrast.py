"""How much more a response map responds inside a candidate than outside of it: TRIS's opinion of S+S+C's candidates.

Beyond both papers. Maps know nothing of candidates, and see a whole image where CLIP sees one candidate at a time.
Shapes: S expressions, N candidates, h x w pixels of the maps, H x W of the image.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def response_contrast(maps_Shw: Tensor, covered_Nhw: Tensor) -> NDArray[np.float64]:
    """Mean response inside minus outside (S, N) of each candidate, in standard deviations of the map over its pixels.

    Maps have no common scale, of which the division makes them free. A map that is the same everywhere says nothing:
    zeros; so does any map of a candidate that covers all or nothing.

    Args:
        maps_Shw: one map for each expression.
        covered_Nhw: see `coverage`.
    """
    maps_SP, covered_NP = maps_Shw.double().flatten(1), covered_Nhw.double().flatten(1)
    centred_SP = maps_SP - maps_SP.mean(1, keepdim=True)
    deviation_S1 = centred_SP.square().mean(1, keepdim=True).sqrt()
    scaled_SP = torch.where(deviation_S1 > 0, centred_SP / deviation_S1, 0.0)
    areas_N = covered_NP.sum(1)
    rest_N = covered_NP.shape[1] - areas_N
    inside_SN = scaled_SP @ covered_NP.T
    outside_SN = -inside_SN  # a centred map sums to zero
    contrast_SN = inside_SN / areas_N - outside_SN / rest_N
    return torch.where((areas_N > 0) & (rest_N > 0), contrast_SN, 0.0).numpy()


def coverage(masks_NHW: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Share (N, h, w) of each pixel of a map of that size that a candidate covers, float32."""
    return F.interpolate(masks_NHW[:, None].float(), size=size, mode="area")[:, 0]
