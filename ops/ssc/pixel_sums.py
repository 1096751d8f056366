"""Soft IoU and cross-entropy of large maps in one pass over their pixels, for constrained matching.

A plain formulation reads and writes every pixel some twenty times, and memory is what it waits for. Here all sums of
an image's samples with all its masks are taken together, on a CPU from blocks of pixels that stay in its cache.

Shapes: S samples of an image, K masks of it, B samples of a batch, P pixels, N pixels of a block.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ops.training.losses import BACKGROUND_WEIGHT, FOREGROUND_WEIGHT

EXTRA_WEIGHT = FOREGROUND_WEIGHT - BACKGROUND_WEIGHT
BLOCK = 2**16
"""Pixels of a block on a CPU; a GPU takes all at once."""


class Given(NamedTuple):
    """The mask that a sample was given."""

    mask_P: Tensor
    probability_P: Tensor
    loss: Tensor
    """Weighted sum of negative log-likelihoods."""
    weight: Tensor
    """How much that sum counts in the loss of the batch."""


class PixelSums(NamedTuple):
    """Sums of every sample of an image with every mask of it, in float32."""

    probabilities_SP: Tensor
    """Of foreground; the gradient reads them again."""
    soft_iou_SK: Tensor
    """As `ops.ssc.matching.soft_iou`."""
    losses_SK: Tensor
    """Weighted sums of negative log-likelihoods."""
    weights_K: Tensor
    """Sums of weights: the losses over them are `ops.training.losses.sample_cross_entropy`."""

    def given(self, row: int, column: int, mask_P: Tensor, *, share: float) -> Given:
        """Sample `row` with mask `column`, which is `mask_P`; its mean loss counts `share` in the loss of the batch."""
        return Given(
            mask_P=mask_P,
            probability_P=self.probabilities_SP[row],
            loss=self.losses_SK[row, column],
            weight=share / self.weights_K[column],
        )


@torch.no_grad()
def pixel_sums(logits_S2P: Tensor, masks_KP: Tensor) -> PixelSums:
    """Soft IoU and weighted cross-entropy of all pairs.

    No difference of large sums is taken, so that a small loss keeps its digits: mask and complement have sums of their
    own, of softplus(-d) and softplus(d) with d the margin of the foreground.
    """
    samples, _, pixels = logits_S2P.shape
    probabilities_SP = logits_S2P.new_empty((samples, pixels), dtype=torch.float32)
    shared_SK, inside_SK, outside_SK = probabilities_SP.new_zeros((3, samples, len(masks_KP)))
    areas_K, foreground_S = shared_SK.new_zeros(len(masks_KP)), shared_SK.new_zeros(samples)
    for block in _blocks(pixels, logits_S2P.device):
        margin_SN = torch.sub(logits_S2P[:, 1, block], logits_S2P[:, 0, block])
        inside_KN, probability_SN = masks_KP[:, block].float(), probabilities_SP[:, block]
        torch.sigmoid(margin_SN, out=probability_SN)
        areas_K += inside_KN.sum(1)
        foreground_S += probability_SN.sum(1)
        loss_SN = F.softplus(margin_SN)
        shared_SK.addmm_(probability_SN, inside_KN.T)
        inside_SK.addmm_(margin_SN.neg_().add_(loss_SN), inside_KN.T)
        outside_SK.addmm_(loss_SN, inside_KN.neg_().add_(1).T)
    union_SK = foreground_S[:, None] + areas_K - shared_SK
    return PixelSums(
        probabilities_SP=probabilities_SP,
        soft_iou_SK=shared_SK / union_SK.clamp(min=1e-7),
        losses_SK=FOREGROUND_WEIGHT * inside_SK + BACKGROUND_WEIGHT * outside_SK,
        weights_K=BACKGROUND_WEIGHT * pixels + EXTRA_WEIGHT * areas_K,
    )


def weighted_loss(logits_B2HW: Tensor, given: Mapping[int, Given]) -> Tensor:
    """Sum, over some samples, of losses that are known already by their weights; with its gradient.

    Args:
        logits_B2HW: of all samples, float32.
        given: by the row of the sample; others have no gradient.
    """
    loss: Tensor = _WeightedLoss.apply(logits_B2HW, dict(given))  # type: ignore[no-untyped-call]
    return loss


class _WeightedLoss(torch.autograd.Function):
    """A loss that is known already, and its gradient."""

    @staticmethod
    def forward(ctx: Any, logits_B2HW: Tensor, given: dict[int, Given]) -> Tensor:
        """The sum of losses by weights."""
        ctx.given, ctx.shape = given, logits_B2HW.shape
        return torch.stack([one.loss * one.weight for one in given.values()]).sum()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Gradient with respect to the logits: w (p - t) by the sample's weight, its negative for the background."""
        gradient_B2HW = grads[0].new_empty(ctx.shape)
        for row, gradient_2P in enumerate(gradient_B2HW.flatten(2)):
            if row in ctx.given:
                _write_gradient(gradient_2P, ctx.given[row], grads[0])
            else:
                gradient_2P.zero_()
        return gradient_B2HW, None


def _write_gradient(gradient_2P: Tensor, given: Given, grad: Tensor) -> None:
    """Gradient of one sample into `gradient_2P`."""
    scale = grad * given.weight
    for block in _blocks(len(given.mask_P), grad.device):
        inside_N = given.mask_P[block].float()
        error_N = (given.probability_P[block] - inside_N).mul_(scale)
        torch.mul(error_N, inside_N.mul_(EXTRA_WEIGHT).add_(BACKGROUND_WEIGHT), out=gradient_2P[1, block])
        torch.neg(gradient_2P[1, block], out=gradient_2P[0, block])


def _blocks(pixels: int, device: torch.device) -> Iterator[slice]:
    """Blocks of pixels, one after the other."""
    step = BLOCK if device.type == "cpu" else pixels
    return (slice(start, start + step) for start in range(0, pixels, step))
