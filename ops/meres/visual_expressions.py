"""Visual expressions: for every word a token made of the pixels it is about (MERES spec 4, Eq. 1-9).

Shapes: B samples, T tokens, R tokens that become visual expressions, N pixels of the coarsest map, C its channels,
D token width.
"""

from typing import NamedTuple

from torch import Tensor, nn

from ops.meres.adaptive_selection import keep_mask, masked_pool, pool_weights, similarity
from ops.meres.attention import TokenLayer, never_empty
from ops.meres.config import MeresConfig


class VisualExpressions(NamedTuple):
    """What the extractor gives."""

    tokens_BRD: Tensor
    mask_BR: Tensor
    """True on visual expressions of real words."""
    relevance_BN: Tensor
    """Cosine of the sentence's own token with every pixel: what the contrastive loss looks at [P]."""


class VisualExpressionExtractor(nn.Module):
    """Adaptive selection, semantic refinement, relationship modelling.

    Parts that a switch turns off do not exist, so every parameter always learns.
    """

    def __init__(self, config: MeresConfig) -> None:
        super().__init__()
        width, heads = config.language_width, config.token_heads
        self.config = config
        self.joint_pixels = nn.Linear(config.swin.widths[-1], config.joint_width)
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
            pixels_BNC: the coarsest map.
            values_BND: the same pixels in the tokens' space [C: Eq. 7 and 8 need D channels where the paper has C].
            positions_ND: added to keys, never to values [C].
            tokens_BTD: enhanced linguistic tokens, the sentence's own first.
            mask_BT: True on tokens that are heard.
            temperature: of the pooling, if it has one.
        """
        similarity_BTN = similarity(self.joint_tokens(tokens_BTD), self.joint_pixels(pixels_BNC))
        rows = {"both": slice(None), "global": slice(0, 1), "local": slice(1, None)}[self.config.cues]
        mask_BR = mask_BT[:, rows]
        tokens_BRD = self.gather(similarity_BTN[:, rows], values_BND, positions_ND, temperature)
        if self.relationship is not None:
            # a padded token must not be looked at: sentences are short, most tokens are padding [C]
            tokens_BRD = self.relationship(tokens_BRD, keep_BQN=never_empty(mask_BR)[:, None])
        return VisualExpressions(tokens_BRD, mask_BR, similarity_BTN[:, 0])

    def gather(
        self, similarity_BRN: Tensor, values_BND: Tensor, positions_ND: Tensor, temperature: Tensor | None = None
    ) -> Tensor:
        """F_r: each token's pixels averaged (Eq. 7), then looked at once more, the same ones (Eq. 8); (B, R, D)."""
        config = self.config
        keep_BRN = keep_mask(similarity_BRN, select=config.select, percent=config.selected_percent)
        sharpened_BRN = similarity_BRN if temperature is None else similarity_BRN / temperature
        weights_BRN = pool_weights(sharpened_BRN, keep_BRN, norm_mask=config.norm_mask)
        pooled_BRD = masked_pool(weights_BRN, values_BND, keep_BRN, scale=config.pool_scale)
        if self.refinement is None or self.value_norm is None:
            return pooled_BRD
        normed_BND = self.value_norm(values_BND)
        return self.refinement(pooled_BRD, (normed_BND + positions_ND, normed_BND), keep_BRN)
