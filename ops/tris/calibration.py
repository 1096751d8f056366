"""Calibration: a frozen CLIP scores the image masked by the response map (TRIS spec 2.6, paper Eq. 7-9).

This scorer is a second CLIP, ViT-B/32 in the paper, beside the one that is trained.
Shapes: B images, K negatives, M masks, N texts, T tokens, E width of the scorer's embeddings, S its image side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ops.backbones.clip_text import text_features
from ops.segmenters.lavt_decoder import upsample
from ops.tris.decoder import upsample_unaligned
from ops.tris.losses import (
    LossTerms,
    LossWeights,
    classification_loss,
    negative_calibration,
    positive_calibration,
    scores,
    weigh,
)
from ops.tris.response import own_responses

if TYPE_CHECKING:
    from open_clip import CLIP


class Scorer(nn.Module):
    """A frozen CLIP, always in eval mode; gradients pass through it to the masks."""

    def __init__(self, clip: CLIP) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False).eval()
        size = clip.visual.image_size
        self.size = int(size if isinstance(size, int) else size[0])
        """S."""

    def train(self, mode: bool = True) -> Scorer:
        """Stay in eval mode."""
        return super().train(False)

    def prepare(self, images_B3HW: Tensor) -> Tensor:
        """Images or masks resized to the scorer's square: bilinear, aligned corners, no antialiasing, no crop."""
        return upsample(images_B3HW, (self.size, self.size))

    def embed_masked(self, images_B3HW: Tensor, masks_M1HW: Tensor) -> Tensor:
        """Unit-length embeddings (M, E) of masked images; where a mask is 0 they have ImageNet's mean colour.

        Args:
            images_B3HW: normalised by ImageNet's statistics, as for the model (spec 1.4); one, or one a mask.
            masks_M1HW: any non-negative values.
        """
        masked_M3SS = self.prepare(masks_M1HW) * self.prepare(images_B3HW)
        embedded_ME = self.clip.visual(masked_M3SS)
        return F.normalize(embedded_ME.to(self.clip.logit_scale.dtype), dim=-1)

    @torch.no_grad()
    def embed_texts(self, ids_NT: Tensor) -> Tensor:
        """Unit-length embeddings (N, E) of texts; those of all expressions can be computed once, before training."""
        return F.normalize(text_features(self.clip, ids_NT), dim=-1)


def cosines(masked_BE: Tensor, texts_BE: Tensor, negatives_BKE: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of each masked image with its own text, (B,), and with its negatives, (B, K), of unit vectors."""
    return (masked_BE * texts_BE).sum(-1), torch.einsum("be,bke->bk", masked_BE, negatives_BKE)


def response_loss(
    response_BNhw: Tensor,
    images_B3HW: Tensor,
    texts_BE: Tensor,
    negatives_BKE: Tensor,
    *,
    scorer: Scorer | None,
    weights: LossWeights,
    exclude_BN: Tensor | None = None,
    among_BN: Tensor | None = None,
    own_B: Tensor | None = None,
) -> LossTerms:
    """The loss of Step 1 (paper Eq. 8).

    Args:
        response_BNhw: output of `ResponseModel` for B images and N texts, their own among them.
        images_B3HW: the same images, normalised.
        texts_BE: the scorer's embeddings of the images' own texts.
        negatives_BKE: those of each sample's negatives (see `negatives`).
        scorer: not run, and not needed, if the weights leave calibration out.
        weights: `LossWeights()` or one of `PRESETS`.
        exclude_BN: see `classification_loss`.
        among_BN: texts that each image is compared with, see `losses.compared_texts`; the others count nowhere.
        own_B: row of each image's own text; None: text i belongs to image i.
    """
    scores_BN = scores(response_BNhw, among_BN)
    classification = classification_loss(scores_BN, exclude_BN=left_out(exclude_BN, among_BN), own_B=own_B)
    positive = negative = classification.new_zeros(())
    if weights.calibrated:
        assert scorer is not None
        masks_B1HW = upsample_unaligned(own_responses(response_BNhw, own_B), images_B3HW.shape[-2:]).sigmoid()
        masked_BE = scorer.embed_masked(images_B3HW, masks_B1HW)
        own_B, other_BK = cosines(masked_BE, texts_BE, negatives_BKE)
        positive = positive_calibration(own_B, clip=weights.clip_positive)
        negative = negative_calibration(other_BK)
    return weigh(classification, positive, negative, weights=weights)


def left_out(exclude_BN: Tensor | None, among_BN: Tensor | None) -> Tensor | None:
    """Pairs (B, N) that do not count in classification: what is excluded, and what is not compared at all."""
    if among_BN is None:
        return exclude_BN
    return ~among_BN if exclude_BN is None else exclude_BN | ~among_BN
