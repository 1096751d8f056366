"""Boxes as detectors give them, in pixels."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pixel_corners(boxes_Q4: Tensor, *, height: int, width: int) -> NDArray[np.float32]:
    """Centre, width, height in [0, 1], (..., Q, 4), to clipped corners x0, y0, x1, y1 in pixels."""
    centre_Q2, half_Q2 = boxes_Q4[..., :2], boxes_Q4[..., 2:] / 2
    scale_4 = torch.tensor([width, height, width, height], dtype=torch.float32)
    corners_Q4 = torch.cat([centre_Q2 - half_Q2, centre_Q2 + half_Q2], dim=-1).clamp(0, 1) * scale_4
    return corners_Q4.numpy()
