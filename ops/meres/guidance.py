"""Guidance of the decoder: linguistic tokens, enhanced by the image, and visual expressions (MERES spec 3.3, 4.7).

Shapes: B samples, T tokens of the expression, N = h * w pixels of the map that words look at, C its channels,
D token width, G tokens of the guidance.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ops.meres.attention import TokenLayer, initialise, sine_positions
from ops.meres.config import MeresConfig
from ops.meres.visual_expressions import VisualExpressionExtractor


class Guidance(NamedTuple):
    """Tokens that the decoder's pixels attend to."""

    tokens_BGD: Tensor
    mask_BG: Tensor
    """True on tokens that are not padding."""
    relevance_BN: Tensor | None
    """Cosine similarity of the expression with every pixel; None without visual expressions."""


class LanguageEnhancement(nn.Module):
    """Cross-attention layers of tokens (queries) to all pixels (keys, values).

    [P] cross-attention layers, vision as keys and values; [O] their number. The image is resized to a square and never
    padded, so no pixel is masked.
    """

    def __init__(self, config: MeresConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TokenLayer(config.language_width, heads=config.token_heads, dropout=config.dropout)
            for _ in range(config.enhancement_layers)
        )

    def forward(self, tokens_BTD: Tensor, contexts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Enhanced linguistic tokens (B, T, D); `contexts` are the keys and values (B, N, D) of each layer."""
        for layer, context in zip(self.layers, contexts, strict=True):
            tokens_BTD = layer(tokens_BTD, context)
        return tokens_BTD


class ValueProjection(nn.Module):
    """V: pixels projected to the tokens' width, a projection shared by all that attends to them.

    [O] The paper's equations use C channels where they need D; a shared projection makes their shapes agree.
    """

    def __init__(self, width: int, language_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, language_width)
        self.norm = nn.LayerNorm(language_width)

    def forward(self, pixels_BNC: Tensor) -> Tensor:
        """(B, N, C) to (B, N, D)."""
        return self.norm(self.linear(pixels_BNC))


class GuidanceEncoder(nn.Module):
    """Guidance from the language encoder's tokens and the backbone's maps, as `config.guidance` says (Table 3).

    Embeddings of the kinds of tokens are initialised at std 0.02, like BERT's [O].
    """

    def __init__(self, config: MeresConfig) -> None:
        super().__init__()
        width, kinds = config.language_width, config.guidance.split("+")
        visual = config.guidance != "le"
        finer = config.enhancement_layers - 1 if visual and config.enhancement_levels == "finer" else 0
        self.config = config
        self.kinds = kinds
        self.values = ValueProjection(config.swin.widths[config.word_map], width) if visual else None
        self.finer_values = nn.ModuleList(
            ValueProjection(channels, width)
            for channels in config.swin.widths[config.word_map - finer : config.word_map]
        )
        self.enhancement = LanguageEnhancement(config) if visual else None
        self.extractor = VisualExpressionExtractor(config) if config.extracts else None
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in kinds)
        self.types = nn.Parameter(torch.zeros(len(kinds), width)) if len(kinds) > 1 else None
        initialise(self)
        if self.types is not None:
            nn.init.trunc_normal_(self.types, std=0.02)

    def forward(
        self, maps: Sequence[Tensor], tokens_BTD: Tensor, mask_BT: Tensor, temperature: Tensor | None = None
    ) -> Guidance:
        """Guidance from the backbone's maps, the encoder's hidden states and their mask, True on unmasked tokens.

        The (B, C, h, w) `maps` come finest first. `temperature` is that of the pooling of visual expressions, if it has
        one.
        """
        if self.values is None or self.enhancement is None:
            return Guidance(self.norms[0](tokens_BTD), mask_BT, None)
        seen_BChw = maps[self.config.word_map]
        pixels_BNC = seen_BChw.flatten(2).transpose(1, 2)
        values_BND, positions_ND = self.values(pixels_BNC), self.positions(seen_BChw)
        tokens_BTD = self.enhancement(tokens_BTD, self.contexts(maps, (values_BND + positions_ND, values_BND)))
        parts, relevance_BN = {"le_enh": (tokens_BTD, mask_BT)}, None
        if self.extractor is not None:
            visual = self.extractor(pixels_BNC, values_BND, positions_ND, tokens_BTD, mask_BT, temperature)
            parts["ve"], relevance_BN = (visual.tokens_BRD, visual.mask_BR), visual.relevance_BN
        else:
            parts["pixels"] = (values_BND, mask_BT.new_ones(values_BND.shape[:2]))
        return self.concatenated([parts[kind] for kind in self.kinds], relevance_BN)

    def positions(self, map_BChw: Tensor) -> Tensor:
        """Positions (N, D) that are added to the values of a map for its keys."""
        height, width = map_BChw.shape[-2:]
        if self.config.positions == "none":
            return map_BChw.new_zeros(height * width, self.config.language_width)
        return sine_positions(height, width, self.config.language_width, map_BChw.device)

    def contexts(self, maps: Sequence[Tensor], coarsest: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Keys and values (B, N, D) of every enhancement layer."""
        if self.config.enhancement_levels == "coarsest":
            return [coarsest] * self.config.enhancement_layers
        finer, last = [], self.config.word_map
        for project, map_BChw in zip(self.finer_values, maps[last - len(self.finer_values) : last], strict=True):
            values_BND = project(map_BChw.flatten(2).transpose(1, 2))
            finer.append((values_BND + self.positions(map_BChw), values_BND))
        return [*finer, coarsest]

    def concatenated(self, parts: list[tuple[Tensor, Tensor]], relevance_BN: Tensor | None) -> Guidance:
        """Concatenation of all kinds of tokens [P], each normalised and with a learnt embedding of its kind [O]."""
        tokens = [norm(part) for norm, (part, _) in zip(self.norms, parts, strict=True)]
        if self.types is not None:
            tokens = [part + kind for part, kind in zip(tokens, self.types, strict=True)]
        return Guidance(torch.cat(tokens, 1), torch.cat([mask for _, mask in parts], 1), relevance_BN)
