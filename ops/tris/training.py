"""How TRIS's two steps are trained: plain PyTorch, opens no file, resumes to the same bits (spec 2.7, 5.5).

Order and sentences are pure functions of (seed, epoch), calibration negatives of (seed, step), and the networks draw no
noise, so a training that is killed and taken up again ends with the weights of an undisturbed one.
Shapes: B samples, H x W pixels, O objects, S sentences of an object, T tokens, K negatives, E width of the scorer.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from ops.images import normalise
from ops.training.course import Course, History, Plan, State
from ops.tris.activation_checkpointing import recomputing
from ops.tris.calibration import Scorer, response_loss
from ops.tris.dataset import ObjectSamples, Sample
from ops.tris.losses import LossWeights, false_negatives
from ops.tris.negatives import NegativePool
from ops.tris.response import ResponseModel
from ops.tris.schedule import Stepping, factor
from ops.tris.segmenter import TrisSegmenter, segmentation_losses

Backward = Callable[[Sequence[Sample], int], Tensor]
"""(samples of a batch, step) -> their loss, detached; gradients are added to the model's."""


@dataclass(frozen=True, kw_only=True)
class TrisPlan(Plan):
    """How long and how fast to train either step; the defaults are the authors'.

    What is pretrained is CLIP. Step 1 needs its batch whole: `accumulate` above 1 makes it compute CLIP's blocks twice
    (see `recomputing`). In Step 2 gradients of several passes are added.
    """

    epochs: int = 15
    batch_size: int = 48
    pretrained_rate: float = 0.1
    stepping: Stepping = "iteration"
    """How the rate falls, see `optimisation.factor`."""


@dataclass(kw_only=True)
class TrisRun(Course):
    """A training of either step between two optimiser steps."""

    plan: TrisPlan
    per_epoch: int

    @classmethod
    def start(cls, model: ResponseModel | TrisSegmenter, plan: TrisPlan, per_epoch: int) -> "TrisRun":
        """A run at step 0."""
        groups = model.optimiser_groups(weight_decay=plan.weight_decay, pretrained_rate=plan.pretrained_rate)
        optimiser = torch.optim.AdamW(groups, lr=plan.lr, fused=True)
        return cls(model=model, optimiser=optimiser, plan=plan, total=plan.epochs * per_epoch, per_epoch=per_epoch)

    def factor(self) -> float:
        """By iteration, or by epoch as in the authors' Step 2."""
        plan = self.plan
        return factor(self.step, epochs=plan.epochs, per_epoch=self.per_epoch, stepping=plan.stepping)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the calibration losses need: the frozen CLIP, its view of every training sentence, and the negatives."""

    scorer: Scorer
    pool: NegativePool
    texts: Sequence[Tensor]
    """For each of the O objects its sentences' embeddings by the scorer, (S, E)."""
    after: float = 0.0
    """Share of the training's steps that pass before calibration counts; the authors' is 0."""

    def of(self, samples: Sequence[Sample], *, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """The scorer's embeddings of the samples' sentences (B, E), and of `count` negatives each (B, K, E)."""
        rng = np.random.default_rng([seed, step, 1])
        drawn = [
            self.pool.draw(number, self.pool.sentences_of_O[number][row], count=count, rng=rng)
            for number, row in samples
        ]
        own_BE = torch.stack([self.texts[number][row] for number, row in samples])
        negatives_BKE = torch.stack([torch.stack([self.texts[one][row] for one, row in some]) for some in drawn])
        return own_BE, negatives_BKE


def train_response(
    model: ResponseModel,
    samples: ObjectSamples,
    plan: TrisPlan,
    *,
    weights: LossWeights,
    calibration: Calibration | None,
    exclude: bool = False,
    resume: Mapping[str, Any] | None = None,
    save: Callable[[State], None] = lambda state: None,
    log: Callable[[str], None] = lambda line: None,
) -> History:
    """Train Step 1 in place: every batch's texts are negatives of its other images (spec 1.6), K more calibrate.

    Args:
        model: on its device; starts from its own weights, or from those in `resume`.
        samples: objects of the training split.
        plan: epochs, batch size, learning rate and so on.
        weights: of the losses, see `losses.PRESETS`.
        calibration: its scorer on the model's device; None where `weights` leave calibration out.
        exclude: leave texts that may be true of an image out of its negatives, see `losses.false_negatives`.
        resume: a state that an earlier call handed to `save`; everything else must be the same.
        save: gets the state every `checkpoint_every_steps` steps and at the end. Its tensors are live.
        log: gets a line every `log_every_steps` steps.

    Raises:
        ValueError: `resume` belongs to another plan or other data, or weights and calibration do not agree.
        FloatingPointError: the loss is not finite.
    """
    if weights.calibrated != (calibration is not None):
        raise ValueError("pass a calibration exactly if the weights count it")
    alone = calibration.after * plan.epochs * samples.batches(plan.batch_size) if calibration is not None else 0

    def backward(batch: Sequence[Sample], step: int) -> Tensor:
        images_B3HW = normalise(samples.images(batch).to(model.device))
        ids_BT = samples.ids(batch).to(model.device)
        own_BE = negatives_BKE = torch.empty(0)
        counted = weights if step >= alone else weights.uncalibrated
        if calibration is not None and counted.calibrated:
            own_BE, negatives_BKE = calibration.of(batch, count=weights.negatives, seed=plan.seed, step=step)
        exclude_BB = false_negatives(ids_BT, samples.image_rows(batch).to(model.device)) if exclude else None
        loss = partial(
            _response_total,
            images_B3HW=images_B3HW,
            texts_BE=own_BE.to(model.device),
            negatives_BKE=negatives_BKE.to(model.device),
            scorer=calibration and calibration.scorer,
            weights=counted,
            exclude_BB=exclude_BB,
        )
        sparing = recomputing(model.clip) if plan.accumulate > 1 else nullcontext()
        with _autocast(model.device, plan), sparing:
            value = loss(model(images_B3HW, ids_BT))
        value.backward()
        return value.detach()

    return _follow(model, samples, plan, backward, resume=resume, save=save, log=log)


def train_segmenter(
    model: TrisSegmenter,
    samples: ObjectSamples,
    plan: TrisPlan,
    *,
    resume: Mapping[str, Any] | None = None,
    save: Callable[[State], None] = lambda state: None,
    log: Callable[[str], None] = lambda line: None,
) -> History:
    """Train Step 2 in place on pseudo-labels: the plain sum of the four levels' losses (spec 5.5).

    Args and raises as in `train_response`; `samples` have masks.
    """

    def backward(batch: Sequence[Sample], _: int) -> Tensor:
        value = torch.zeros((), device=model.device)
        for start in range(0, len(batch), plan.chunk):
            part = batch[start : start + plan.chunk]
            targets_B1HW = samples.masks(part).to(model.device)
            with _autocast(model.device, plan):
                logits = model(samples.images(part).to(model.device), samples.ids(part).to(model.device))
            losses = segmentation_losses([one.float() for one in logits], targets_B1HW)
            loss = torch.stack(losses).sum() * (len(part) / len(batch))
            loss.backward()
            value += loss.detach()
        return value

    return _follow(model, samples, plan, backward, resume=resume, save=save, log=log)


def _response_total(response_BBhw: Tensor, **rest: Any) -> Tensor:
    """The loss of Step 1. Under autocast, responses and the scorer's products are rounded; the sums are in float32."""
    return response_loss(response_BBhw.float(), **rest).total


def _autocast(device: torch.device, plan: TrisPlan) -> AbstractContextManager[object]:
    return torch.autocast(device.type, torch.bfloat16, enabled=plan.bf16)


def _follow(
    model: ResponseModel | TrisSegmenter,
    samples: ObjectSamples,
    plan: TrisPlan,
    backward: Backward,
    *,
    resume: Mapping[str, Any] | None,
    save: Callable[[State], None],
    log: Callable[[str], None],
) -> History:
    convert_conv2d_weight_memory_format(model, torch.channels_last)  # up to 1.8 times as fast
    run = TrisRun.start(model, plan, samples.batches(plan.batch_size))
    if resume is not None:
        run.restore(resume)
    for epoch in range(run.step // run.per_epoch, plan.epochs):
        packed = samples.epoch(size=plan.batch_size, seed=plan.seed, epoch=epoch)
        model.train()
        for batch in packed[run.step % run.per_epoch :]:
            run.descend(partial(backward, batch, run.step), count=len(batch))
            if run.step % plan.log_every_steps == 0 or run.step == run.total:
                log(run.line())
            if run.step % plan.checkpoint_every_steps == 0 or run.step == run.total:
                save(run.state())
    return run.history
