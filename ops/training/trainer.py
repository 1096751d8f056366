"""The one training engine: optimizer steps over a sampler's batches, plain PyTorch, opens no file.

Everything random at a step (drop path, negatives, augmentation) is seeded by (seed, step) and the order of samples by
(seed, epoch), so that a training that is killed and resumed from its last saved state ends with the weights of an
undisturbed one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Generic, Protocol, Self, TypedDict, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ops.training.distributed import ALONE, ProcessGroup
from ops.training.loader import load_batches
from ops.training.pace import Pace
from ops.training.plan import Plan
from ops.training.sampler import EpochSampler, TrainingSampler, samples_in
from ops.training.schedule import Schedule
from ops.training.train_state import History, State, TrainState
from ops.training.weight_average import WeightAverage


class TrainingBatch(Protocol):
    """Batch of a collate function: tensors of some samples."""

    def __len__(self) -> int:
        """Number of samples."""

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""


B = TypeVar("B", bound=TrainingBatch)
Save = Callable[[State], None]
Log = Callable[[str], None]


class TrainingOptions(TypedDict, total=False):
    """Keyword arguments of every training function, see the fields of `Trainer`."""

    resume: Mapping[str, Any] | None
    save: Save
    log: Log
    on_epoch: Callable[[Any, int], float | None] | None
    group: ProcessGroup
    workers: int


def _nothing(_: object) -> None:
    pass


@dataclass(kw_only=True)
class Trainer(Generic[B]):
    """Trains `model` in place, on its device, from its own weights or from a saved state."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    plan: Plan
    schedule: Schedule
    sampler: EpochSampler
    dataset: Dataset[Any]
    collate: Callable[[list[Any]], B]
    objective: Callable[[Any, B, int], Tensor]
    """(model or its replica, batch of one pass on the device, step) -> mean loss of the batch's samples. Whether the
    model computes in bfloat16 or computes activations again is its business, see `autocast`."""
    resume: Mapping[str, Any] | None = None
    """A state that an earlier training passed to `save`; plan and data must be the same."""
    save: Save = _nothing
    """Gets the state every `checkpoint_every_steps` steps and at the end. Its tensors are live: write or copy them
    before returning."""
    log: Log = _nothing
    """Gets a line at the first step and every `log_every_seconds`."""
    on_epoch: Callable[[Any, int], float | None] | None = None
    """Called with the model after each epoch, epochs counted from 1. When it returns scores, the weights of the best
    epoch are put back at the end; otherwise those of the last epoch stay, and no ground truth is asked for."""
    group: ProcessGroup = ALONE
    """The processes that train together, all called with equal arguments; only the first one saves, logs and scores,
    and only its model counts at the end."""
    workers: int = 0
    """Processes that load batches ahead: for a GPU, which would wait for them."""
    state: TrainState = field(init=False)
    pace: Pace = field(init=False)
    replica: nn.Module = field(init=False)
    """The model, or its data-parallel replica in a group."""

    def __post_init__(self) -> None:
        """Start at step 0, or at the step of `resume`.

        Raises:
            Refused: `resume` belongs to another plan or other data.
        """
        self.replica = self.group.replica(self.model)
        self.per_epoch = self.sampler.per_epoch
        self.total = self.plan.epochs * self.per_epoch
        identity = {**self.plan.identity(), "total": self.total}
        average = WeightAverage.of(self.model, most=self.plan.ema) if self.plan.ema else None
        self.state = TrainState(model=self.model, optimizer=self.optimizer, identity=identity, average=average)
        if self.resume is not None:
            self.state.load_state_dict(self.resume)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.model.parameters()).device

    def run(self) -> History:
        """Take all remaining steps; returns the loss curve of all steps.

        Raises:
            Refused: no batch has an image for each process of the group.
            FloatingPointError: the loss is not finite; weights and state are those before the step.
        """
        on_gpu = self.device.type == "cuda"
        if self.group.is_main and self.state.step < self.total:
            for doubt in self.plan.doubts(steps=self.total, samples=len(self.dataset)):  # type: ignore[arg-type]
                self.log(doubt)
        self.pace = Pace(total=self.total, every=self.plan.log_every_seconds, step=self.state.step)
        steps = TrainingSampler(self.sampler, epochs=self.plan.epochs, first=self.state.step, group=self.group)
        batches = load_batches(self.dataset, steps, self.collate, workers=self.workers, pinned=on_gpu)
        self.model.train()
        with torch.random.fork_rng(devices=[self.device] if on_gpu else []):
            for step in range(self.state.step, self.total):
                began, parts = perf_counter(), steps.step(step)
                torch.manual_seed(self.plan.seed * 1_000_003 + step + (self.group.rank << 40))
                count = sum(map(samples_in, parts))
                loaded = [next(batches) for _ in parts]
                idle = [self.group.is_idle(len(part)) for part in parts]
                loss, lr = self.step(loaded, count=count, idle=idle)
                self.state.history.append(loss=loss, lr=lr, samples_per_second=count / (perf_counter() - began))
                self._after_step()
        self.state.put_back()
        return self.state.history

    def step(self, batches: Sequence[B], *, count: int, idle: Sequence[bool]) -> tuple[float, float]:
        """One optimizer step on the mean loss over all `count` samples of the batches, those of the group included.

        Of each batch it is said whether this process is idle, and has only borrowed its samples.

        Returns:
            The loss before the step, and the learning rate.

        Raises:
            FloatingPointError: the loss is not finite; nothing was changed.
        """
        lr = self.schedule.set_rates(self.optimizer, self.state.step)
        self.optimizer.zero_grad()
        loss = self._backward(batches, count=count, idle=idle)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {self.state.step}; {self.plan.remedy}")
        if self.plan.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip_norm)
        self.optimizer.step()
        return loss, lr

    def _backward(self, batches: Sequence[B], *, count: int, idle: Sequence[bool]) -> float:
        """Accumulate the gradients of the batches; returns their loss."""
        total = torch.zeros((), device=self.device)
        for number, (batch, borrowed) in enumerate(zip(batches, idle, strict=True), 1):
            share = 0.0 if borrowed else len(batch) / count
            with self.group.exchange(self.replica, last=number == len(batches), idle=borrowed):
                value = self.objective(self.replica, batch.to(self.device), self.state.step) * share
                (value * self.group.size).backward()  # the group takes the mean of its gradients, we want their sum
            total += value.detach()
        return self.group.all_sum(total).item()

    def _after_step(self) -> None:
        """Log, score and save, as the step calls for."""
        if not self.group.is_main:
            return
        state, plan = self.state, self.plan
        if state.average:
            state.average.update(self.model, step=state.step)
        epoch, within = divmod(state.step, self.per_epoch)
        if self.pace.is_due(state.step):
            steps = self.pace.told(state.step)
            self.log(f"{state.history.line(total=self.total, last=steps)}  {self.pace.left}".rstrip())
        if not within and self.on_epoch is not None:
            state.note_score(epoch, self.on_epoch(self.model, epoch))
            self.model.train()
        if state.step % plan.checkpoint_every_steps == 0 or state.step == self.total:
            self.save(state.state_dict())


def autocast(model: nn.Module, *, bf16: bool) -> AbstractContextManager[object]:
    """Context in which the model computes in bfloat16 if asked for; float32 losses are computed outside of it."""
    return torch.autocast(next(model.parameters()).device.type, torch.bfloat16, enabled=bf16)
