"""LAVT's top-down mask decoder, two 3x3 convolutions a level (S+S+C spec 4.3).

Shapes: B samples, C channels, H x W cells of a map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def upsample(x_BCHW: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear upsampling with aligned corners to (height, width), as everywhere in LAVT."""
    return F.interpolate(x_BCHW, size=tuple(size), mode="bilinear", align_corners=True)


class DecoderStep(nn.Module):
    """Upsampling, concatenation with the finer map, and twice a 3x3 convolution, batch norm and ReLU."""

    def __init__(self, coarse_width: int, fine_width: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(coarse_width + fine_width, hidden, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(hidden)

    def forward(self, coarse_BCHW: Tensor, fine_BCHW: Tensor) -> Tensor:
        """Map (B, hidden, H, W) at the size of the finer map."""
        size = fine_BCHW.shape[-2:]
        if coarse_BCHW.shape[-2] < size[0] or coarse_BCHW.shape[-1] < size[1]:
            coarse_BCHW = upsample(coarse_BCHW, size)
        x_BCHW = torch.cat([coarse_BCHW, fine_BCHW.to(coarse_BCHW.dtype)], 1)
        x_BCHW = F.relu(self.norm1(self.conv1(x_BCHW)))
        return F.relu(self.norm2(self.conv2(x_BCHW)))


class MaskDecoder(nn.Module):
    """Top-down decoder of the backbone's maps; output channel 0 is background, 1 foreground."""

    def __init__(self, widths: Sequence[int], hidden: int) -> None:
        """`widths` are the channels of the backbone's maps, finest first; `hidden` those of the decoder's."""
        super().__init__()
        laterals = list(reversed(widths))
        coarse = [laterals[0]] + [hidden] * (len(laterals) - 2)
        self.steps = nn.ModuleList(
            DecoderStep(above, lateral, hidden) for above, lateral in zip(coarse, laterals[1:], strict=True)
        )
        self.head = nn.Conv2d(hidden, 2, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits (B, 2, H, W) at the size of the finest of the (B, C, H, W) `maps`, which come finest first."""
        x_BCHW = maps[-1]
        for step, lateral in zip(self.steps, reversed(maps[:-1]), strict=True):
            x_BCHW = step(x_BCHW, lateral)
        return self.head(x_BCHW)
