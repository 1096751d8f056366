"""MERES's decoder: LAVT's, with cross-attention of pixels to the guidance at every stage (MERES spec 5).

[P] a cross-attention layer at each stage, upsampling, concatenation with the finer map, a linear head; [I: LAVT,
CrossVLT] two 3x3 convolutions a level and their width; [O] pre-norm, 8 heads, no MLP after the attention, since the
convolutions play that role.
Shapes: B samples, C channels, H x W pixels, G tokens of the guidance, D their width.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ops.meres.attention import Attention, initialise
from ops.meres.config import MeresConfig
from ops.segmenters.lavt_decoder import DecoderStep


class GuidanceAttention(nn.Module):
    """Pre-norm residual cross-attention: pixels are queries, tokens of the guidance keys and values."""

    def __init__(self, width: int, language_width: int, *, heads: int, normalised_queries: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, language_width, heads=heads, normalised_queries=normalised_queries)
        initialise(self)

    def forward(self, x_BCHW: Tensor, tokens_BGD: Tensor, mask_BG: Tensor) -> Tensor:
        """Guided map of the same shape (B, C, H, W); `mask_BG` is True on tokens that are attended to."""
        normed_BPC = self.norm(x_BCHW.flatten(2).transpose(1, 2))
        attended_BPC = self.attention(normed_BPC, tokens_BGD, tokens_BGD, mask_BG[:, None])
        return x_BCHW + attended_BPC.transpose(1, 2).unflatten(2, x_BCHW.shape[-2:])


class NoGuidance(nn.Module):
    """Identity, in place of `GuidanceAttention` at a stage without cross-attention."""

    def forward(self, x_BCHW: Tensor, _: Tensor, __: Tensor) -> Tensor:
        """The map as it is."""
        return x_BCHW


class GuidedDecoder(nn.Module):
    """Top-down decoder guided by tokens; output channel 0 is background, 1 foreground."""

    def __init__(self, config: MeresConfig) -> None:
        super().__init__()
        laterals, hidden = list(reversed(config.swin.widths)), config.decoder_width
        coarse = [laterals[0], *[hidden] * (len(laterals) - 1)]
        self.looks = nn.ModuleList(
            GuidanceAttention(
                width,
                config.language_width,
                heads=config.decoder_heads,
                normalised_queries=config.contrasted_queries,
            )
            if len(coarse) - number in config.looking_stages
            else NoGuidance()
            for number, width in enumerate(coarse)
        )
        self.steps = nn.ModuleList(
            DecoderStep(above, lateral, hidden) for above, lateral in zip(coarse[:-1], laterals[1:], strict=True)
        )
        self.head = nn.Conv2d(hidden, 2, 1)

    def forward(self, maps: Sequence[Tensor], tokens_BGD: Tensor, mask_BG: Tensor) -> Tensor:
        """Logits (B, 2, H, W) at the size of the finest of the (B, C, H, W) `maps`, which come finest first."""
        x_BCHW = self.looks[0](maps[-1], tokens_BGD, mask_BG)
        for step, attention, lateral in zip(self.steps, list(self.looks)[1:], reversed(maps[:-1]), strict=True):
            x_BCHW = attention(step(x_BCHW, lateral), tokens_BGD, mask_BG)
        return self.head(x_BCHW)
