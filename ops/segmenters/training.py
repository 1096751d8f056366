"""Training of a referring segmenter, LAVT or MERES, on pseudo-labels or on sets of candidate masks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Unpack, runtime_checkable

import torch
from torch import Tensor, nn

from ops.segmenters.lavt import optimizer_groups
from ops.training.dataset import Batch, ReferentDataset, collate
from ops.training.losses import batch_lavt, per_sample
from ops.training.plan import AdamWPlan
from ops.training.sampler import Expressions, PackedImageSampler
from ops.training.schedule import PolySchedule
from ops.training.train_state import History
from ops.training.trainer import Trainer, TrainingOptions, autocast

Loss = Callable[[Tensor, Batch], Tensor]
"""Maps logits (B, 2, H, W) of a batch, or another output of the model, to the mean loss of its samples."""


@runtime_checkable
class Annealed(Protocol):
    """A loss that changes as training goes on."""

    def at(self, progress: float, /) -> Loss:
        """The loss when a share of the training, from 0 to 1, is done."""


Groups = Callable[..., list[dict[str, Any]]]
"""Maps a model, `weight_decay` and `pretrained_rate` to AdamW's groups; the `rate` of each is its share of `lr`."""


@dataclass(frozen=True, kw_only=True)
class SegmenterPlan(AdamWPlan):
    """Hyperparameters of the training; the defaults are S+S+C's (spec 4.7-4.9).

    The papers train the pretrained backbones, Swin and BERT, at the common learning rate; backbones that were
    pretrained on little data forget it at the rate that a new fusion and decoder need.
    """

    epochs: int = 40
    batch_size: int = 60
    """Samples (image, expression) of an optimizer step, give or take: whole images are packed."""
    expressions: Expressions = "one"


def first_candidate(logits_B2HW: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy against each sample's pseudo-label (ZSBootstrap)."""
    return per_sample(logits_B2HW, batch.targets_BHW())


def pixels_of_a_pass(logits_B2HW: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy against each sample's mask, one weighted mean over all their pixels (LAVT)."""
    return batch_lavt(logits_B2HW, batch.targets_BHW())


@dataclass(frozen=True, kw_only=True)
class SegmenterObjective:
    """Loss of a batch; logits are computed in bfloat16 if asked for, the loss in float32."""

    loss: Loss
    bf16: bool
    steps: int
    """Of the whole training."""

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        """The mean loss of the batch's samples."""
        with autocast(model, bf16=self.bf16):
            logits_B2HW = model(batch.images_I3HW, batch.token_ids_BT, batch.token_mask_BT, image_of_B=batch.image_of_B)
        loss = self.loss.at(step / self.steps) if isinstance(self.loss, Annealed) else self.loss
        return loss(logits_B2HW.float(), batch)


def train(
    model: nn.Module,
    dataset: ReferentDataset,
    plan: SegmenterPlan,
    *,
    loss: Loss = first_candidate,
    groups: Groups = optimizer_groups,
    **options: Unpack[TrainingOptions],
) -> History:
    """Train `model` in place on its device.

    Args:
        model: a Lavt, or another module with its interface.
        dataset: the training split.
        plan: epochs, batch size, learning rate and so on.
        loss: what to minimise; the default takes each referent's first candidate as its mask.
        groups: the optimizer's groups of such a model; the default is for a Lavt.
        options: saved state, hooks, processes; see `ops.training.trainer.Trainer`.

    Raises:
        Refused: the saved state belongs to another plan or other data, or a batch has too few images for the group.
        ValueError: a trained parameter is in no group.
        FloatingPointError: the loss is not finite.
    """
    sampler = PackedImageSampler(
        dataset, size=plan.chunk, seed=plan.seed, accumulate=plan.accumulate, expressions=plan.expressions
    )
    steps = plan.epochs * sampler.per_epoch
    trainer = Trainer(
        model=model,
        optimizer=adamw(model, plan, groups=groups),
        plan=plan,
        schedule=PolySchedule(lr=plan.lr, total=steps, warmup_steps=plan.warmup_steps),
        sampler=sampler,
        dataset=dataset,
        collate=collate,
        objective=SegmenterObjective(loss=loss, bf16=plan.bf16, steps=steps),
        **options,
    )
    return trainer.run()


def adamw(model: nn.Module, plan: SegmenterPlan, *, groups: Groups = optimizer_groups) -> torch.optim.AdamW:
    """AdamW over all trained parameters.

    Raises:
        ValueError: a trained parameter is in no group.
    """
    grouped = groups(model, weight_decay=plan.weight_decay, pretrained_rate=plan.pretrained_rate)
    held = {id(parameter) for group in grouped for parameter in group["params"]}
    idle = [name for name, value in model.named_parameters() if value.requires_grad and id(value) not in held]
    if idle:
        raise ValueError(f"no group of the optimizer holds {idle}: add them, or freeze them")
    return torch.optim.AdamW(grouped, lr=plan.lr, fused=True)
