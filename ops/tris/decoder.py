"""The decoder of TRIS's segmenter: laterals, a top-down path by addition, a head on every level (spec 5.4).

Shapes: B samples, C channels, h x w cells; level 1 is the finest, level 4 the coarsest.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ops.tris.sizes import enlarge


def unit(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, batch norm, PReLU with one slope for all channels."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.PReLU(init=0.25)
    )


def head(inputs: int, hidden: int) -> nn.Sequential:
    """A unit and one logit a cell."""
    return nn.Sequential(unit(inputs, hidden), nn.Conv2d(hidden, 1, 1, bias=False))


class TopDownDecoder(nn.Module):
    """Four maps to logits: on the finest level only in eval mode, on all four in training (deep supervision).

    Deep supervision is in the authors' code, not in the paper.
    """

    def __init__(self, widths: Sequence[int], laterals: Sequence[int], finest: int) -> None:
        """Channels of the four maps and of their laterals, finest first, and of the level that gives the mask."""
        super().__init__()
        levels = (finest, *laterals[:-1])
        hidden = (finest, finest, laterals[0], laterals[0])
        self.laterals = nn.ModuleList(map(unit, widths, laterals))
        self.steps = nn.ModuleList(map(unit, laterals, levels))
        self.heads = nn.ModuleList(map(head, levels, hidden))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Logits (B, 1, h, w) of level 1, or of levels 1 to 4: of h and w of the maps of levels 1, 1, 2 and 3."""
        d1, d2, d3, d4 = (lateral(one) for lateral, one in zip(self.laterals, maps, strict=True))
        u4 = enlarge(self.steps[3](d4), d3.shape[-2:])
        u3 = enlarge(self.steps[2](u4 + d3), d2.shape[-2:])
        u2 = enlarge(self.steps[1](u3 + d2), d1.shape[-2:])
        u1 = self.steps[0](u2 + d1)
        heads = self.heads if self.training else self.heads[:1]
        return [one(level) for one, level in zip(heads, (u1, u2, u3, u4), strict=False)]
