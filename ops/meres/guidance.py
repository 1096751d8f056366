"""What guides the decoder: linguistic tokens, enhanced by the picture, and visual expressions (MERES spec 3.3, 4.7).

Shapes: B samples, T tokens of the sentence, N = h * w pixels of the coarsest map, C its channels, D token width, G
tokens of the guidance.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ops.meres.attention import TokenLayer, initialise, sine_positions
from ops.meres.config import MeresConfig
from ops.meres.extractor import VisualExpressionExtractor


class Guidance(NamedTuple):
    """Tokens for the decoder to look at."""

    tokens_BGD: Tensor
    mask_BG: Tensor
    """True where there is no padding."""
    relevance_BN: Tensor | None
    """Cosine of the sentence with every pixel; none without visual expressions."""


class LanguageEnhancement(nn.Module):
    """Tokens look at all pixels in a few cross-attention layers.

    [P] cross-attention layers, vision as keys and values; [C] their number, and the coarsest map alone, the only one
    that the paper names there. The picture is squashed and never padded, so no pixel is masked.
    """

    def __init__(self, config: MeresConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TokenLayer(config.language_width, heads=config.token_heads, dropout=config.dropout)
            for _ in range(config.enhancement_layers)
        )

    def forward(self, tokens_BTD: Tensor, values_BND: Tensor, positions_ND: Tensor) -> Tensor:
        """Enhanced linguistic tokens (B, T, D)."""
        for layer in self.layers:
            tokens_BTD = layer(tokens_BTD, (values_BND + positions_ND, values_BND))
        return tokens_BTD


class ValueProjection(nn.Module):
    """V: the pixels in the tokens' space, one projection for all that reads them.

    [C] The paper multiplies its C channels with D where it needs D; a shared projection lets its equations type-check.
    """

    def __init__(self, width: int, language_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, language_width)
        self.norm = nn.LayerNorm(language_width)

    def forward(self, pixels_BNC: Tensor) -> Tensor:
        """(B, N, C) to (B, N, D)."""
        return self.norm(self.linear(pixels_BNC))


class Guide(nn.Module):
    """From the encoder's tokens and the coarsest map to the guidance, as `config.guidance` says (Table 3).

    The vectors of the kinds start at std 0.02, as embeddings do in BERT [C].
    """

    def __init__(self, config: MeresConfig) -> None:
        super().__init__()
        width, kinds = config.language_width, config.guidance.split("+")
        looks = config.guidance != "le"
        self.kinds = kinds
        self.values = ValueProjection(config.swin.widths[-1], width) if looks else None
        self.enhancement = LanguageEnhancement(config) if looks else None
        self.extractor = VisualExpressionExtractor(config) if config.extracts else None
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in kinds)
        self.types = nn.Parameter(torch.zeros(len(kinds), width)) if len(kinds) > 1 else None
        initialise(self)
        if self.types is not None:
            nn.init.trunc_normal_(self.types, std=0.02)

    def forward(
        self, coarse_BChw: Tensor, tokens_BTD: Tensor, mask_BT: Tensor, temperature: Tensor | None = None
    ) -> Guidance:
        """Guidance from the coarsest map, the encoder's states and their mask (True on tokens that are heard).

        `temperature` is that of the pooling of visual expressions, if it has one.
        """
        if self.values is None or self.enhancement is None:
            return Guidance(self.norms[0](tokens_BTD), mask_BT, None)
        pixels_BNC = coarse_BChw.flatten(2).transpose(1, 2)
        values_BND = self.values(pixels_BNC)
        positions_ND = sine_positions(*coarse_BChw.shape[-2:], values_BND.shape[-1], values_BND.device)
        tokens_BTD = self.enhancement(tokens_BTD, values_BND, positions_ND)
        parts, relevance_BN = {"le_enh": (tokens_BTD, mask_BT)}, None
        if self.extractor is not None:
            visual = self.extractor(pixels_BNC, values_BND, positions_ND, tokens_BTD, mask_BT, temperature)
            parts["ve"], relevance_BN = (visual.tokens_BRD, visual.mask_BR), visual.relevance_BN
        else:
            parts["pixels"] = (values_BND, mask_BT.new_ones(values_BND.shape[:2]))
        return self.join([parts[kind] for kind in self.kinds], relevance_BN)

    def join(self, parts: list[tuple[Tensor, Tensor]], relevance_BN: Tensor | None) -> Guidance:
        """Normalise each kind of tokens, tell them apart by a learnt vector [C] and put them in a row [P]."""
        tokens = [norm(part) for norm, (part, _) in zip(self.norms, parts, strict=True)]
        if self.types is not None:
            tokens = [part + kind for part, kind in zip(tokens, self.types, strict=True)]
        return Guidance(torch.cat(tokens, 1), torch.cat([mask for _, mask in parts], 1), relevance_BN)
