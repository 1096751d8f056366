"""Visual expressions: a token for each word, pooled from the pixels most similar to it (MERES spec 4, Eq. 1-9).

Shapes: B samples, T tokens, R tokens that become visual expressions, N pixels of the map that words look at, C
its channels, D token width.
"""

from typing import NamedTuple

from torch import Tensor, nn

from ops.meres.adaptive_selection import keep_mask, masked_pool, pool_weights, similarity
from ops.meres.attention import TokenLayer, unmask_empty_rows
from ops.meres.config import MeresConfig


class VisualExpressions(NamedTuple):
    """Output of the extractor."""

    tokens_BRD: Tensor
    mask_BR: Tensor
    """True on visual expressions of real words."""
    relevance_BN: Tensor
    """Cosine similarity of the whole expression's token with every pixel, for the contrastive loss [P]."""


class VisualExpressionExtractor(nn.Module):
    """Adaptive selection, semantic refinement and relationship modelling of visual expressions.

    Parts that a switch turns off have no parameters, so that every parameter gets gradients.
    """

    def __init__(self, config: MeresConfig) -> None:
        super().__init__()
        width, heads = config.language_width, config.token_heads
        self.config = config
        self.joint_pixels = nn.Linear(config.swin.widths[config.word_map], config.joint_width)
        self.joint_tokens = nn.Linear(width, config.joint_width)
        self.value_norm = nn.LayerNorm(width) if config.refine else None
        self.refinement = TokenLayer(width, heads=heads) if config.refine else None
        self.relationship = TokenLayer(width, heads=heads) if config.relate else None

    def forward(
        self,
        pixels_BNC: Tensor,
        values_BND: Tensor,
        positions_ND: Tensor,
        tokens_BTD: Tensor,
        mask_BT: Tensor,
        temperature: Tensor | None = None,
    ) -> VisualExpressions:
        """Extract the visual expressions.

        Args:
            pixels_BNC: the map that words look at.
            values_BND: the same pixels projected to D channels [O: Eq. 7 and 8 need D where the paper has C].
            positions_ND: added to keys, never to values [O].
            tokens_BTD: enhanced linguistic tokens, that of the whole expression first.
            mask_BT: True on unmasked tokens.
            temperature: of the pooling, if it has one.
        """
        similarity_BTN = similarity(self.joint_tokens(tokens_BTD), self.joint_pixels(pixels_BNC))
        rows = {"both": slice(None), "global": slice(0, 1), "local": slice(1, None)}[self.config.cues]
        mask_BR = mask_BT[:, rows]
        tokens_BRD = self.pool(similarity_BTN[:, rows], values_BND, positions_ND, temperature)
        if self.relationship is not None:
            # padding is masked: expressions are short, most tokens are padding [O]
            tokens_BRD = self.relationship(tokens_BRD, keep_BQN=unmask_empty_rows(mask_BR)[:, None])
        return VisualExpressions(tokens_BRD, mask_BR, similarity_BTN[:, 0])

    def pool(
        self, similarity_BRN: Tensor, values_BND: Tensor, positions_ND: Tensor, temperature: Tensor | None = None
    ) -> Tensor:
        """F_r (B, R, D): masked pooling of each token's pixels (Eq. 7), then cross-attention to the same (Eq. 8)."""
        config = self.config
        keep_BRN = keep_mask(similarity_BRN, select=config.select, percent=config.selected_percent)
        logits_BRN = similarity_BRN if temperature is None else similarity_BRN / temperature
        weights_BRN = pool_weights(logits_BRN, keep_BRN, norm_mask=config.norm_mask)
        pooled_BRD = masked_pool(weights_BRN, values_BND, keep_BRN, scale=config.pool_scale)
        if self.refinement is None or self.value_norm is None:
            return pooled_BRD
        normed_BND = self.value_norm(values_BND)
        return self.refinement(pooled_BRD, (normed_BND + positions_ND, normed_BND), keep_BRN)
