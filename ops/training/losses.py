"""Losses of a referring segmenter on two-channel logits (S+S+C spec 4.9).

Shapes: B samples, H x W pixels at the model's full size.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

BACKGROUND_WEIGHT, FOREGROUND_WEIGHT = 0.9, 1.1


def pixel_terms(logits_B2HW: Tensor, masks_BHW: Tensor) -> tuple[Tensor, Tensor]:
    """Per sample: the weighted sum of negative log-likelihoods and the sum of weights, both (B,) float32.

    Cross-entropy of two channels is binary cross-entropy of their difference, at a third of the cost.
    """
    margin_BHW = logits_B2HW[:, 1].float() - logits_B2HW[:, 0].float()
    weights_BHW = torch.where(masks_BHW, FOREGROUND_WEIGHT, BACKGROUND_WEIGHT)
    losses_BHW = F.binary_cross_entropy_with_logits(margin_BHW, masks_BHW.float(), weights_BHW, reduction="none")
    return losses_BHW.sum((1, 2)), weights_BHW.sum((1, 2))


def sample_cross_entropy(logits_B2HW: Tensor, masks_BHW: Tensor) -> Tensor:
    """(B,) cross-entropy, a weighted mean over the pixels of each sample (S+S+C)."""
    sums_B, weights_B = pixel_terms(logits_B2HW, masks_BHW)
    return sums_B / weights_B


def per_sample(logits_B2HW: Tensor, masks_BHW: Tensor) -> Tensor:
    """Mean over samples of `sample_cross_entropy`: every sample counts the same (S+S+C)."""
    return sample_cross_entropy(logits_B2HW, masks_BHW).mean()


def batch_lavt(logits_B2HW: Tensor, masks_BHW: Tensor) -> Tensor:
    """One weighted mean over all pixels of the batch (LAVT)."""
    sums_B, weights_B = pixel_terms(logits_B2HW, masks_BHW)
    return sums_B.sum() / weights_B.sum()
