"""Enlargement inside TRIS's networks (spec 2.4, 5.4).

On the way from a network's output to the image's own size, and to the scorer, corners are aligned instead: that is
`ops.segmenters.lavt_decoder.upsample`.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def enlarge(x_BChw: Tensor, size: Sequence[int]) -> Tensor:
    """To (height, width): bilinear, corners not aligned. Sigmoid or ReLU come after it."""
    return F.interpolate(x_BChw, size=tuple(size), mode="bilinear", align_corners=False)
