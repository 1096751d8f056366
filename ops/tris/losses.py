"""Loss of Step 1: classification over the texts of a batch, calibration, their weights (TRIS spec 0, 2.5-2.7).

Shapes: B images, N texts, h x w cells, K calibration negatives. Text i belongs to image i, unless it is said which
belongs to which: where several processes share a batch, the images are those of one, the texts those of all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

BACKGROUND = 1.0
"""Logit of the background channel (spec 2.5): 1, not 0."""

CLIP_RANGE = (1e-4, 0.9999)
"""Range to which cosines of positives are clamped, where their logarithm is finite (spec 2.6)."""


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the loss terms, and settings of the calibration terms; the defaults are those of spec 0."""

    classification: float = 5.0
    positive: float = 1.0
    negative: float = 2.0
    """On the mean over K: the paper's Eq. 8, which sums, is K times the mean (6 in its preset, whose K is 6)."""
    negatives: int = 6
    """K, the calibration negatives drawn for every sample (paper's ablation: 6 is best)."""
    clip_positive: bool = True
    """Without it a cosine of 0 or less gives no finite loss."""

    @property
    def calibrated(self) -> bool:
        """Whether any calibration term has a weight; if not, the scorer is not run."""
        return self.positive != 0 or self.negative != 0

    @property
    def uncalibrated(self) -> "LossWeights":
        """Classification alone."""
        return replace(self, positive=0.0, negative=0.0)


Preset = Literal["paper", "first_release", "head"]
PRESETS: Mapping[Preset, LossWeights] = {
    "paper": LossWeights(negative=6.0),
    "first_release": LossWeights(positive=2.0, negative=1.0, clip_positive=False),
    "head": LossWeights(negatives=3),
}
"""Weights of the paper, of the authors' first release and of their latest code."""


def focal_mask_penalty(share: Tensor) -> Tensor:
    """Psi = (1 - m)^3 ln(0.01 + m) of mask shares m: -4.6 if a text has no pixel, 0 if it has every one.

    The penalty of Araslanov and Roth (CVPR 2020), not the focal loss that the paper cites (spec 2.5).
    """
    return (1 - share) ** 3 * torch.log(0.01 + share)


def mask_shares(response_BNhw: Tensor, among_BN: Tensor | None = None) -> Tensor:
    """Mask shares m (B, N): mean over cells of each text's softmax among all texts and a constant background.

    `among_BN` is True on the texts that compete for the cells of an image; the others have a share of 0.
    """
    if among_BN is not None:
        response_BNhw = response_BNhw.masked_fill(~among_BN[..., None, None], -torch.inf)
    background_B1hw = torch.full_like(response_BNhw[:, :1], BACKGROUND)
    return torch.cat([background_B1hw, response_BNhw], 1).softmax(1)[:, 1:].mean((2, 3))


def scores(response_BNhw: Tensor, among_BN: Tensor | None = None) -> Tensor:
    """Scores y (B, N): largest response plus mean response plus psi of the mask share; not bounded to [0, 1].

    `among_BN`: see `mask_shares`.
    """
    penalties_BN = focal_mask_penalty(mask_shares(response_BNhw, among_BN))
    return response_BNhw.amax((2, 3)) + response_BNhw.mean((2, 3)) + penalties_BN


def classification_loss(scores_BN: Tensor, *, exclude_BN: Tensor | None = None, own_B: Tensor | None = None) -> Tensor:
    """Binary logistic loss of every (image, text) pair, own texts being the positives; mean over texts, then images.

    Args:
        scores_BN: see `scores`.
        exclude_BN: bool, pairs left out of the mean (see `false_negatives`); the authors leave out none.
        own_B: row of each image's own text; None: text i belongs to image i.

    Raises:
        ValueError: images and texts are not paired.
    """
    if own_B is None and scores_BN.shape[0] != scores_BN.shape[1]:
        raise ValueError(f"scores {tuple(scores_BN.shape)}: pass one text for every image, in the same order")
    own_B = torch.arange(len(scores_BN), device=scores_BN.device) if own_B is None else own_B
    target_BN = F.one_hot(own_B, scores_BN.shape[1]).to(scores_BN.dtype)
    losses_BN = F.binary_cross_entropy_with_logits(scores_BN, target_BN, reduction="none")
    if exclude_BN is None:
        return losses_BN.mean()
    kept_BN = (~exclude_BN).to(losses_BN.dtype)
    return ((losses_BN * kept_BN).sum(1) / kept_BN.sum(1)).mean()


def false_negatives(ids_BT: Tensor, image_of_B: Tensor) -> Tensor:
    """False negatives (B, B) bool: texts of other samples that may be true of an image.

    Those are equal texts ("left" of two samples) and texts of the same image.
    """
    same_words_BB = (ids_BT[:, None] == ids_BT[None]).all(-1)
    same_image_BB = image_of_B[:, None] == image_of_B[None]
    own_BB = torch.eye(len(ids_BT), dtype=torch.bool, device=ids_BT.device)
    return (same_words_BB | same_image_BB.to(ids_BT.device)) & ~own_BB


def compared_texts(count: int, negatives: int | None) -> Tensor | None:
    """Texts (B, B) bool that each of `count` images is compared with: its own, and those of the next `negatives` ones.

    After the last sample comes the first. A batch is drawn in random order, so neighbours are as good as a random draw;
    every text is that of as many images. None, without a number: all.
    """
    if negatives is None:
        return None
    number_B = torch.arange(count)
    return (number_B[None] - number_B[:, None]) % count <= negatives


def positive_calibration(cosines_B: Tensor, *, clip: bool = True) -> Tensor:
    """L_pos: mean of -ln cos(masked image, its text). Clamped cosines get no gradient."""
    return -torch.log(cosines_B.clamp(*CLIP_RANGE) if clip else cosines_B).mean()


def negative_calibration(cosines_BK: Tensor) -> Tensor:
    """L_neg: mean over samples and their K negatives of -ln(1 - cos(masked image, negative text))."""
    return -torch.log(1 - cosines_BK).mean()


@dataclass(frozen=True, kw_only=True)
class LossTerms:
    """The loss of a batch and its terms before weighting, scalars; terms that are left out are 0."""

    total: Tensor
    classification: Tensor
    positive: Tensor
    negative: Tensor


def weigh(classification: Tensor, positive: Tensor, negative: Tensor, *, weights: LossWeights) -> LossTerms:
    """Weighted sum of the loss terms (paper Eq. 8 and section 4.1)."""
    total = weights.classification * classification + weights.positive * positive + weights.negative * negative
    return LossTerms(total=total, classification=classification, positive=positive, negative=negative)
