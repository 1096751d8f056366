"""Pixel contrastive loss with its temperature, and the training objective of MERES (MERES spec 6, Eq. 3).

Shapes: B samples, S samples that have a mask, N pixels of the coarsest map, H x W pixels of the image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ops.ssc.matching import Matched
from ops.training.dataset import Batch
from ops.training.losses import sample_cross_entropy

LEAST, MOST = 0.01, 10.0
"""Bounds of the temperature [O]."""
MaskLoss = Literal["ce2", "bce1"]
"""L_seg (spec 6): softmax cross-entropy of two channels with LAVT's class weights, 0.9 and 1.1, a weighted mean over
pixels [I: LAVT, CrossVLT, ReLA]; or binary cross-entropy of one channel, here the difference of both, unweighted."""
ContrastOver = Literal["pixels", "halves"]
"""What Eq. 3 averages over: all pixels [I: CrossVLT]; or those inside and those outside of the mask with equal weight
[O: for small referents the loss of predicting background everywhere is low, and cosines near -1 have small
gradients]."""
Assign = Callable[[Tensor, Batch], Matched]
"""Assigns a mask to each sample of a batch, given logits (B, 2, H, W); `MatchingLoss.match` is one."""


class Temperature(nn.Module):
    """tau: learnt [P] as the exponential of a parameter [O] that starts at 0 [I: CrossVLT], clamped to bounds.

    The clamp passes gradients (straight-through), so that tau can return from beyond a bound.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_tau = nn.Parameter(torch.zeros(()))

    def forward(self) -> Tensor:
        """The temperature, a scalar."""
        outside = self.log_tau.clamp(math.log(LEAST), math.log(MOST)) - self.log_tau
        return (self.log_tau + outside.detach()).exp()


def sample_binary_cross_entropy(logits_BHW: Tensor, masks_BHW: Tensor, *, over: ContrastOver = "pixels") -> Tensor:
    """Binary cross-entropy (B,) of logits with masks, averaged over the pixels of each sample (Eq. 3) or its halves.

    With logits relevance / tau and tau = 1 the loss of a foreground pixel is at least -log sigmoid(1) = 0.313.
    """
    inside_BP = masks_BHW.flatten(1).float()
    terms_BP = F.binary_cross_entropy_with_logits(logits_BHW.flatten(1).float(), inside_BP, reduction="none")
    if over == "pixels":
        return terms_BP.mean(1)
    halves = [(terms_BP * part_BP).sum(1) / part_BP.sum(1).clamp(min=1) for part_BP in (inside_BP, 1 - inside_BP)]
    return (halves[0] + halves[1]) / 2


def first_candidates(logits_B2HW: Tensor, batch: Batch) -> Matched:
    """Assigns every sample its first candidate, whatever the logits are."""
    return Matched(candidates=[rows[0] for rows in batch.candidates], counts=[1] * len(batch))


@dataclass(frozen=True, kw_only=True)
class MeresLoss:
    """w_s L_seg + w_c L_c, both against the mask that each sample is assigned.

    L_seg is binary cross-entropy [P]; every sample has the same weight [O], so that matched masks weigh as in S+S+C.
    Where L_c compares is a matter of the configuration, see `ops.meres.config.ContrastAt`.
    """

    assign: Assign = first_candidates
    mask_loss: MaskLoss = "ce2"
    mask_weight: float = 2.0
    """w_s [I: CrossVLT; the paper gives no weights]."""
    contrast_weight: float = 1.0
    """w_c [I: CrossVLT]."""
    contrast_over: ContrastOver = "pixels"

    def __call__(self, maps_BCHW: Tensor, batch: Batch) -> Tensor:
        """The loss, a scalar, divided by all samples of the batch, those without a mask included.

        Args:
            maps_BCHW: output of `Meres`: background, foreground and, with a contrastive loss, relevance / tau.
            batch: whole images.
        """
        matched = self.assign(maps_BCHW[:, :2], batch)
        with_mask = [sample for sample, count in enumerate(matched.counts) if count]
        if not with_mask:
            return maps_BCHW.sum() * 0.0
        images, masks = batch.image_of_B.tolist(), batch.masks
        targets_SHW = torch.stack([masks[images[sample]][matched.candidates[sample]] for sample in with_mask])
        maps_SCHW = maps_BCHW[with_mask] if len(with_mask) < len(batch) else maps_BCHW
        losses_S = self.mask_weight * self.mask_losses(maps_SCHW[:, :2], targets_SHW)
        if maps_BCHW.shape[1] > 2:
            contrasts_S = sample_binary_cross_entropy(maps_SCHW[:, 2], targets_SHW, over=self.contrast_over)
            losses_S = losses_S + self.contrast_weight * contrasts_S
        counts_S = torch.tensor([float(matched.counts[sample]) for sample in with_mask], device=losses_S.device)
        return (losses_S * counts_S).sum() / len(batch)

    def mask_losses(self, logits_S2HW: Tensor, targets_SHW: Tensor) -> Tensor:
        """(S,) L_seg of every sample."""
        if self.mask_loss == "bce1":
            return sample_binary_cross_entropy(logits_S2HW[:, 1] - logits_S2HW[:, 0], targets_SHW)
        return sample_cross_entropy(logits_S2HW, targets_SHW)
