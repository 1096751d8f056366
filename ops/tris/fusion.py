"""Pixel-word attention of TRIS's segmenter (spec 5.3), one block for each of c2, c3 and c4.

Shapes: B samples, C channels, H x W cells, P = H * W, T tokens, L width of the token features.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ops.tris.prompt import pixel_layer


class PixelAttention(nn.Module):
    """Single-head attention of pixels to all T tokens, padding included, multiplied into the pixels' features.

    Unlike LAVT's PWAM it has affine instance norms, ReLU, and no mask.
    """

    def __init__(self, width: int, language_width: int) -> None:
        super().__init__()
        self.query = pixel_layer(width)
        self.key = nn.Linear(language_width, width)
        self.value = nn.Linear(language_width, width)
        self.gathered = pixel_layer(width)
        self.visual = nn.Conv2d(width, width, 1)
        self.joint = nn.Conv2d(width, width, 1)

    def forward(self, map_BCHW: Tensor, tokens_BTL: Tensor) -> Tensor:
        """Fused features (B, C, H, W), to be added to the map."""
        query_BPC = self.query(map_BCHW).flatten(2).mT
        attention_BPT = (query_BPC @ self.key(tokens_BTL).mT * map_BCHW.shape[1] ** -0.5).softmax(-1)
        mixed_BCHW = (attention_BPT @ self.value(tokens_BTL)).mT.reshape(map_BCHW.shape)
        return F.relu(self.joint(F.relu(self.visual(map_BCHW)) * self.gathered(mixed_BCHW)))


class WordFusion(nn.Module):
    """Residual pixel-word attention of c2, c3 and c4; c1 is unchanged, and nothing enters the encoder's next stages."""

    def __init__(self, widths: Sequence[int], language_width: int) -> None:
        """`widths` are the channels of c2, c3 and c4."""
        super().__init__()
        self.attentions = nn.ModuleList(PixelAttention(width, language_width) for width in widths)

    def forward(self, maps: Sequence[Tensor], tokens_BTL: Tensor) -> list[Tensor]:
        """Four maps of the shapes given."""
        fused = [
            map_BCHW + attention(map_BCHW, tokens_BTL)
            for map_BCHW, attention in zip(maps[1:], self.attentions, strict=True)
        ]
        return [maps[0], *fused]
