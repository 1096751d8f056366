"""A training between two optimiser steps: schedule, step, curve, and a state that is taken up again to the same bits.

Whoever trains something adds how a batch becomes gradients; see `ops.training.loop` and `ops.tris.training`.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from ops.segmenters.lavt import poly

State = dict[str, Any]
NEUTRAL = ("bf16", "checkpoint_every_steps", "log_every_steps")
"""Parts of a plan that may change when a run is taken up again, on another machine for example."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every training is told; what is trained adds its own defaults and parts."""

    epochs: int
    batch_size: int
    lr: float = 5e-5
    pretrained_rate: float = 1.0
    """Share of `lr` for what was pretrained."""
    warmup_steps: int = 0
    """Steps over which the rate rises to its schedule; the papers have none."""
    clip_norm: float | None = None
    """Largest norm of the whole gradient; the papers do not clip."""
    weight_decay: float = 0.01
    accumulate: int = 1
    """Passes per optimiser step, each of batch_size / accumulate samples."""
    bf16: bool = False
    """Forward in bfloat16 autocast; set it where the device computes faster that way."""
    seed: int = 0
    checkpoint_every_steps: int = 500
    log_every_steps: int = 20

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        if self.epochs < 1 or not 1 <= self.accumulate <= self.batch_size:
            raise ValueError(
                f"epochs={self.epochs}, batch_size={self.batch_size}, accumulate={self.accumulate}: "
                "all must be at least 1 and accumulate no more than batch_size"
            )

    @property
    def chunk(self) -> int:
        """Samples of a pass."""
        return -(-self.batch_size // self.accumulate)


@dataclass
class History:
    """The curve of a run, one entry per optimiser step."""

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    samples_per_second: list[float] = field(default_factory=list)
    """Wall-clock speed, the only column that differs between two runs of one plan."""
    scores: dict[int, float] = field(default_factory=dict)
    """What `on_epoch` returned after each epoch, if it was asked."""

    def append(self, *, loss: float, lr: float, samples_per_second: float) -> None:
        """Add a step."""
        self.step.append(len(self.step) + 1)
        self.loss.append(loss)
        self.lr.append(lr)
        self.samples_per_second.append(samples_per_second)

    @property
    def best_epoch(self) -> int | None:
        """First epoch with the highest score; none without scores."""
        return max(self.scores, key=self.scores.__getitem__) if self.scores else None


@dataclass(kw_only=True)
class Course:
    """Everything that a checkpoint holds."""

    model: nn.Module
    optimiser: torch.optim.AdamW
    """Its groups have a `rate`, their share of the learning rate."""
    plan: Plan
    total: int
    """Optimiser steps of the whole run; the schedule ends there."""
    history: History = field(default_factory=History)

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return len(self.history.loss)

    def factor(self) -> float:
        """Factor of the learning rate at this step, but for the warm-up."""
        return poly(self.step, self.total)

    def descend(self, backward: Callable[[], Tensor], *, count: int) -> None:
        """One optimiser step.

        Args:
            backward: adds the gradients of `count` samples and returns their loss, detached.
            count: for the speed in the curve.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        began = perf_counter()
        rate = self.plan.lr * self.factor() * min(1.0, (self.step + 1) / max(self.plan.warmup_steps, 1))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["rate"]
        self.optimiser.zero_grad()
        value = backward()
        if self.plan.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip_norm)
        self.optimiser.step()
        if not math.isfinite(value.item()):
            raise FloatingPointError(
                f"the loss is {value.item()} at step {self.step}; lower the learning rate, {self.plan.lr:g} now"
            )
        self.history.append(loss=value.item(), lr=rate, samples_per_second=count / (perf_counter() - began))

    def line(self) -> str:
        """One line for a log: where the run is and how fast."""
        recent = self.history.loss[-self.plan.log_every_steps :]
        speeds = self.history.samples_per_second[-self.plan.log_every_steps :]
        return (
            f"step {self.step}/{self.total}  loss {sum(recent) / len(recent):.4f}  "
            f"lr {self.history.lr[-1]:.2e}  {len(speeds) / sum(1 / speed for speed in speeds):.1f} samples/s"
        )

    def identity(self) -> dict[str, Any]:
        """What must agree for a state to be taken up again."""
        plan = {name: value for name, value in asdict(self.plan).items() if name not in NEUTRAL}
        return {**plan, "total": self.total}

    def state(self) -> State:
        """Everything `restore` needs, plain containers and live tensors."""
        return {
            "identity": self.identity(),
            "step": self.step,
            "history": asdict(self.history),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises:
            ValueError: it belongs to another plan or other data.
        """
        ours, theirs = self.identity(), state["identity"]
        changed = [key for key in ours if ours[key] != theirs.get(key)]
        if changed:
            raise ValueError(f"the saved state is of another run, {changed} differ; force a training from the start")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = History(**copy.deepcopy(state["history"]))
