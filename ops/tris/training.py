"""Training of TRIS's two steps (spec 2.7, 5.5).

Calibration negatives are a function of (seed, step) and the networks are deterministic, see `ops.training.trainer`.
Shapes: B samples, H x W pixels, O referents, S expressions of a referent, T tokens, K negatives, E width of the scorer.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal, Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from ops.images import normalise
from ops.training.dataset import Batch, ReferentDataset, Sample, collate
from ops.training.plan import AdamWPlan
from ops.training.sampler import ReferentSampler
from ops.training.schedule import PolySchedule
from ops.training.train_state import History
from ops.training.trainer import Trainer, TrainingOptions, autocast
from ops.tris.activation_checkpointing import checkpointed_blocks
from ops.tris.calibration import Scorer, response_loss
from ops.tris.losses import LossWeights, compared_texts, false_negatives
from ops.tris.negatives import NegativePool
from ops.tris.response import ResponseModel
from ops.tris.segmenter import TrisSegmenter, segmentation_losses

Stepping = Literal["iteration", "compat_epoch"]


@dataclass(frozen=True, kw_only=True)
class TrisPlan(AdamWPlan):
    """Hyperparameters of either step; the defaults are the authors'.

    The pretrained parameters are CLIP's. Step 1 needs its batch whole: `accumulate` above 1 makes it compute CLIP's
    blocks twice (see `ops.tris.activation_checkpointing`). In Step 2 gradients of several passes are accumulated.
    """

    epochs: int = 15
    batch_size: int = 48
    pretrained_rate: float = 0.1
    stepping: Stepping = "iteration"
    """Whether the learning rate falls by steps or by epochs, see `ops.training.schedule.PolySchedule`."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Inputs of calibration: the frozen CLIP, its embeddings of all training expressions, and the negatives."""

    scorer: Scorer
    pool: NegativePool
    texts: Sequence[Tensor]
    """For each of the O referents its expressions' embeddings by the scorer, (S, E)."""
    after: float = 0.0
    """Share of the training's steps without calibration at its start; the authors' is 0."""

    def embeddings(self, samples: Sequence[Sample], *, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Embeddings of the samples' expressions (B, E), and of `count` negatives each (B, K, E)."""
        rng = np.random.default_rng([seed, step, 1])
        negatives = [
            self.pool.draw(number, self.pool.expressions_of_O[number][row], count=count, rng=rng)
            for number, row in samples
        ]
        own_BE = torch.stack([self.texts[number][row] for number, row in samples])
        negatives_BKE = torch.stack(
            [torch.stack([self.texts[number][row] for number, row in pairs]) for pairs in negatives]
        )
        return own_BE, negatives_BKE


@dataclass(frozen=True, kw_only=True)
class ResponseObjective:
    """Loss of Step 1: a batch's texts are negatives of its other images (spec 1.6); K others are for calibration."""

    plan: TrisPlan
    weights: LossWeights
    calibration: Calibration | None
    uncalibrated_steps: float
    exclude: bool
    negatives: int | None = None
    """N; None: all other texts of the batch."""

    def __call__(self, model: ResponseModel, batch: Batch, step: int) -> Tensor:
        """The loss of a whole batch.

        Under autocast, responses and the scorer's products are rounded; the sums are in float32.
        """
        images_B3HW = normalise(batch.images_I3HW[batch.image_of_B])
        weights = self.weights if step >= self.uncalibrated_steps else self.weights.uncalibrated
        texts_BE, negatives_BKE = self._embeddings(batch, weights, step)
        ids_BT, among_BB = batch.token_ids_BT, compared_texts(len(batch), self.negatives)
        among_BB = None if among_BB is None else among_BB.to(model.device)
        checkpointed = checkpointed_blocks(model.clip) if self.plan.accumulate > 1 else nullcontext()
        with autocast(model, bf16=self.plan.bf16), checkpointed:
            return response_loss(
                model(images_B3HW, ids_BT, among_BB).float(),
                images_B3HW,
                texts_BE.to(model.device),
                negatives_BKE.to(model.device),
                scorer=self.calibration.scorer if self.calibration else None,
                weights=weights,
                exclude_BB=false_negatives(ids_BT, batch.image_of_B) if self.exclude else None,
                among_BB=among_BB,
            ).total

    def _embeddings(self, batch: Batch, weights: LossWeights, step: int) -> tuple[Tensor, Tensor]:
        if self.calibration is None or not weights.calibrated:
            return torch.empty(0), torch.empty(0)
        return self.calibration.embeddings(batch.samples, count=weights.negatives, seed=self.plan.seed, step=step)


@dataclass(frozen=True, kw_only=True)
class SegmentationObjective:
    """Loss of Step 2: the plain sum of the four levels' losses against the pseudo-label (spec 5.5)."""

    bf16: bool

    def __call__(self, model: TrisSegmenter, batch: Batch, _: int) -> Tensor:
        """The mean loss of the batch's samples; in training mode, an image is repeated for each of its samples."""
        with autocast(model, bf16=self.bf16):
            logits = model(batch.images_I3HW[batch.image_of_B], batch.token_ids_BT)
        return torch.stack(segmentation_losses([level.float() for level in logits], batch.targets_BHW()[:, None])).sum()


def train_response(
    model: ResponseModel,
    dataset: ReferentDataset,
    plan: TrisPlan,
    *,
    weights: LossWeights,
    calibration: Calibration | None,
    exclude: bool = False,
    negatives: int | None = None,
    **options: Unpack[TrainingOptions],
) -> History:
    """Train Step 1 in place.

    Args:
        model: on its device.
        dataset: the training split; its masks, if it has any, are not used.
        plan: epochs, batch size, learning rate and so on.
        weights: of the losses, see `losses.PRESETS`.
        calibration: its scorer on the model's device; None where `weights` leave calibration out.
        exclude: leave texts that may be true of an image out of its negatives, see `losses.false_negatives`.
        negatives: N, other texts of a batch that an image is compared with, see `losses.compared_texts`; None: all.
        options: saved state, hooks, processes; see `ops.training.trainer.Trainer`.

    Raises:
        ValueError: weights and calibration do not agree.
        Refused: the saved state belongs to another plan or other data.
        FloatingPointError: the loss is not finite.
    """
    if weights.calibrated != (calibration is not None):
        raise ValueError("pass a calibration exactly if the weights count it")
    sampler = ReferentSampler(dataset, batch_size=plan.batch_size, seed=plan.seed)
    objective = ResponseObjective(
        plan=plan,
        weights=weights,
        calibration=calibration,
        uncalibrated_steps=calibration.after * plan.epochs * sampler.per_epoch if calibration else 0,
        exclude=exclude,
        negatives=negatives,
    )
    return _trainer(model, dataset, plan, sampler, objective, options).run()


def train_segmenter(
    model: TrisSegmenter, dataset: ReferentDataset, plan: TrisPlan, **options: Unpack[TrainingOptions]
) -> History:
    """Train Step 2 in place on the first mask of every referent; args and raises as in `train_response`."""
    sampler = ReferentSampler(dataset, batch_size=plan.batch_size, seed=plan.seed, chunk=plan.chunk)
    return _trainer(model, dataset, plan, sampler, SegmentationObjective(bf16=plan.bf16), options).run()


def _trainer(
    model: ResponseModel | TrisSegmenter,
    dataset: ReferentDataset,
    plan: TrisPlan,
    sampler: ReferentSampler,
    objective: ResponseObjective | SegmentationObjective,
    options: TrainingOptions,
) -> Trainer[Batch]:
    convert_conv2d_weight_memory_format(model, torch.channels_last)  # up to 1.8 times as fast
    groups = model.optimizer_groups(weight_decay=plan.weight_decay, pretrained_rate=plan.pretrained_rate)
    return Trainer(
        model=model,
        optimizer=torch.optim.AdamW(groups, lr=plan.lr, fused=True),
        plan=plan,
        schedule=PolySchedule(
            lr=plan.lr,
            total=plan.epochs * sampler.per_epoch,
            warmup_steps=plan.warmup_steps,
            per_epoch=sampler.per_epoch if plan.stepping == "compat_epoch" else None,
        ),
        sampler=sampler,
        dataset=dataset,
        collate=partial(collate, trim=False),  # both networks attend to padding, as the authors' do
        objective=objective,
        **options,
    )
