"""Training of TRIS's two steps (spec 2.7, 5.5).

Calibration negatives are a function of (seed, step) and the networks are deterministic, see `ops.training.trainer`.
Step 1 compares the images of a batch with the texts of all of it. Of several processes each encodes its share of both;
text features are gathered with their gradients, so that losses and weights are those of one process.
Shapes: B samples, N texts of a whole batch, H x W pixels, O referents, S expressions of a referent, T tokens,
K negatives, E width of the scorer.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from ops.images import normalise
from ops.training.dataset import Batch, ReferentDataset, Sample, collate
from ops.training.distributed import ALONE, ProcessGroup
from ops.training.plan import AdamWPlan
from ops.training.sampler import ReferentSampler, TrainingSampler
from ops.training.schedule import PolySchedule
from ops.training.train_state import History
from ops.training.trainer import Trainer, TrainingOptions, autocast
from ops.tris.activation_checkpointing import checkpointed_blocks
from ops.tris.calibration import Scorer, response_loss
from ops.tris.losses import LossWeights, compared_texts, false_negatives
from ops.tris.negatives import NegativePool
from ops.tris.parameter_groups import freeze_others
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

    model: ResponseModel
    """What learns; calls go to its replica."""
    dataset: ReferentDataset
    steps: TrainingSampler
    """Batches as they are before processes share them."""
    plan: TrisPlan
    weights: LossWeights
    calibration: Calibration | None
    uncalibrated_steps: float
    exclude: bool
    negatives: int | None = None
    """Other texts that an image is compared with; None: all of the batch."""
    group: ProcessGroup = ALONE

    def __call__(self, replica: nn.Module, batch: Batch, step: int) -> Tensor:
        """The mean loss of the samples of a batch, or of a process's share, beside all texts of the whole batch.

        Under autocast, responses and the scorer's products are rounded; the sums are in float32.
        """
        device, whole = self.model.device, [sample for image in self.steps.step(step)[0] for sample in image]
        place_of = {sample: place for place, sample in enumerate(whole)}
        own_B = torch.tensor([place_of[sample] for sample in batch.samples])
        images_B3HW = normalise(batch.images_I3HW[batch.image_of_B])
        weights = self.weights if step >= self.uncalibrated_steps else self.weights.uncalibrated
        texts_BE, negatives_BKE = self._embeddings(whole, own_B, weights, step)
        among_BN, exclude_BN = (None if one is None else one[own_B].to(device) for one in self._pairs(whole))
        own_B = own_B.to(device)
        idle = self.group.is_idle(len(whole))
        gather = partial(self.group.gathered, place_of_B=own_B, count=len(whole), idle=idle)
        checkpointed = checkpointed_blocks(self.model.clip) if self.plan.accumulate > 1 else nullcontext()
        with autocast(self.model, bf16=self.plan.bf16), checkpointed:
            return response_loss(
                replica(images_B3HW, batch.token_ids_BT, among_BN, gather).float(),
                images_B3HW,
                texts_BE.to(device),
                negatives_BKE.to(device),
                scorer=self.calibration.scorer if self.calibration else None,
                weights=weights,
                exclude_BN=exclude_BN,
                among_BN=among_BN,
                own_B=own_B,
            ).total

    def _embeddings(
        self, whole: Sequence[Sample], own_B: Tensor, weights: LossWeights, step: int
    ) -> tuple[Tensor, Tensor]:
        """Those of the share; negatives are drawn for the whole batch in its order, whoever computes with them."""
        if self.calibration is None or not weights.calibrated:
            return torch.empty(0), torch.empty(0)
        drawn = self.calibration.embeddings(whole, count=weights.negatives, seed=self.plan.seed, step=step)
        return drawn[0][own_B], drawn[1][own_B]

    def _pairs(self, whole: Sequence[Sample]) -> tuple[Tensor | None, Tensor | None]:
        """Of a whole batch: texts (N, N) that each image is compared with, and those left out of its negatives."""
        among_NN = compared_texts(len(whole), self.negatives)
        if not self.exclude:
            return among_NN, None
        referents = [self.dataset.referents[number] for number, _ in whole]
        ids = [referent.token_ids_ST[row] for referent, (_, row) in zip(referents, whole, strict=True)]
        image_of_N = torch.tensor([referent.image for referent in referents])
        return among_NN, false_negatives(torch.stack(ids), image_of_N)


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
        Refused: the saved state belongs to another plan or other data, or no batch has a sample for each process.
        FloatingPointError: the loss is not finite.
    """
    if weights.calibrated != (calibration is not None):
        raise ValueError("pass a calibration exactly if the weights count it")
    sampler = ReferentSampler(dataset, batch_size=plan.batch_size, seed=plan.seed)
    objective = ResponseObjective(
        model=model,
        dataset=dataset,
        steps=TrainingSampler(sampler, epochs=plan.epochs),
        group=options.get("group", ALONE),
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
    freeze_others(model, groups)
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
