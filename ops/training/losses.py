"""Losses of a referring segmenter on two-channel logits (S+S+C spec 4.9).

Shapes: B samples, H x W = P pixels at the model's full size.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

BACKGROUND_WEIGHT, FOREGROUND_WEIGHT = 0.9, 1.1


def pixel_terms(logits_B2HW: Tensor, masks_BHW: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sum of negative log-likelihoods and sum of weights per sample, both (B,) float32.

    Cross-entropy of two channels is binary cross-entropy of their difference.
    """
    inside_BP = masks_BHW.flatten(1).float()
    sums_B: Tensor = _WeightedSum.apply(logits_B2HW.flatten(2), inside_BP)  # type: ignore[no-untyped-call]
    extra = FOREGROUND_WEIGHT - BACKGROUND_WEIGHT
    return sums_B, BACKGROUND_WEIGHT * inside_BP.shape[1] + extra * inside_BP.sum(1)


class _WeightedSum(torch.autograd.Function):
    """Weighted cross-entropy, summed over the pixels of each sample, in as few passes over them as possible."""

    @staticmethod
    def forward(ctx: Any, logits_B2P: Tensor, inside_BP: Tensor) -> Tensor:
        """Sum of w (softplus(d) - t d) with w = 0.9 + 0.2 t, for margins d of foreground and targets t."""
        margin_BP = logits_B2P[:, 1].float() - logits_B2P[:, 0].float()
        ctx.save_for_backward(margin_BP, inside_BP)
        ctx.dtype = logits_B2P.dtype
        losses_BP = F.softplus(margin_BP).addcmul_(inside_BP, margin_BP, value=-1)
        extra_B = torch.bmm(losses_BP[:, None], inside_BP[:, :, None]).flatten()
        return BACKGROUND_WEIGHT * losses_BP.sum(1) + (FOREGROUND_WEIGHT - BACKGROUND_WEIGHT) * extra_B

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Gradient with respect to the logits: w (sigmoid(d) - t), and its negative for the background."""
        margin_BP, inside_BP = ctx.saved_tensors
        gradient_B2P = margin_BP.new_empty((len(margin_BP), 2, margin_BP.shape[1]), dtype=ctx.dtype)
        error_BP = margin_BP.sigmoid().sub_(inside_BP)
        error_BP.addcmul_(error_BP, inside_BP, value=FOREGROUND_WEIGHT / BACKGROUND_WEIGHT - 1)
        torch.mul(error_BP, BACKGROUND_WEIGHT * grads[0][:, None], out=gradient_B2P[:, 1])
        torch.neg(gradient_B2P[:, 1], out=gradient_B2P[:, 0])
        return gradient_B2P, None


def sample_cross_entropy(logits_B2HW: Tensor, masks_BHW: Tensor) -> Tensor:
    """Cross-entropy (B,), a weighted mean over the pixels of each sample (S+S+C)."""
    sums_B, weights_B = pixel_terms(logits_B2HW, masks_BHW)
    return sums_B / weights_B


def per_sample(logits_B2HW: Tensor, masks_BHW: Tensor) -> Tensor:
    """Mean over samples of `sample_cross_entropy`: every sample has the same weight (S+S+C)."""
    return sample_cross_entropy(logits_B2HW, masks_BHW).mean()


def batch_lavt(logits_B2HW: Tensor, masks_BHW: Tensor) -> Tensor:
    """Cross-entropy, one weighted mean over all pixels of the batch (LAVT)."""
    sums_B, weights_B = pixel_terms(logits_B2HW, masks_BHW)
    return sums_B.sum() / weights_B.sum()
