"""Decoder of TRIS's segmenter: laterals, a top-down path by addition, a head on every level (spec 5.4).

Within TRIS's networks maps are upsampled without aligned corners; to the image's own size, and to the scorer's, with
them: that is `ops.segmenters.lavt_decoder.upsample`.
Shapes: B samples, C channels, h x w cells; level 1 is the finest, level 4 the coarsest.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


def upsample_unaligned(x_BChw: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear upsampling to (height, width), corners not aligned; before sigmoid or ReLU (spec 2.4, 5.4)."""
    return F.interpolate(x_BChw, size=tuple(size), mode="bilinear", align_corners=False)


def unit(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, batch norm, PReLU with one slope for all channels."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.PReLU(init=0.25)
    )


def head(inputs: int, hidden: int) -> nn.Sequential:
    """Head of a level: a `unit` and a 1x1 convolution to one logit a cell."""
    return nn.Sequential(unit(inputs, hidden), nn.Conv2d(hidden, 1, 1, bias=False))


class TopDownDecoder(nn.Module):
    """Top-down decoder: logits of the finest level in eval mode, of all four in training (deep supervision).

    Deep supervision is in the authors' code, not in the paper.
    """

    def __init__(self, widths: Sequence[int], laterals: Sequence[int], finest: int) -> None:
        """Channels of the four maps and of their laterals, finest first; `finest` those of the level of the mask."""
        super().__init__()
        levels = (finest, *laterals[:-1])
        hidden = (finest, finest, laterals[0], laterals[0])
        self.laterals = nn.ModuleList(map(unit, widths, laterals))
        self.steps = nn.ModuleList(map(unit, laterals, levels))
        self.heads = nn.ModuleList(map(head, levels, hidden))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Logits (B, 1, h, w) of level 1, or of levels 1 to 4: of h and w of the maps of levels 1, 1, 2 and 3."""
        d1, d2, d3, d4 = (lateral(map_BChw) for lateral, map_BChw in zip(self.laterals, maps, strict=True))
        u4 = upsample_unaligned(self.steps[3](d4), d3.shape[-2:])
        u3 = upsample_unaligned(self.steps[2](u4 + d3), d2.shape[-2:])
        u2 = upsample_unaligned(self.steps[1](u3 + d2), d1.shape[-2:])
        u1 = self.steps[0](u2 + d1)
        heads = self.heads if self.training else self.heads[:1]
        return [head(level) for head, level in zip(heads, (u1, u2, u3, u4), strict=False)]
