"""Training state between two optimizer steps: content of a checkpoint, with bit-exact resume."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from ops.refusal import Refused
from ops.training.weight_average import WeightAverage

State = dict[str, Any]
SECTIONS = ("history", "model", "optimizer", "best")


@dataclass
class History:
    """Loss curve of a training, one entry per optimizer step."""

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    samples_per_second: list[float] = field(default_factory=list)
    """Throughput, the only column that differs between two trainings of one plan."""
    scores: dict[int, float] = field(default_factory=dict)
    """Scores of epochs, as `on_epoch` returned them; empty without it."""

    def append(self, *, loss: float, lr: float, samples_per_second: float) -> None:
        """Add a step."""
        self.step.append(len(self.step) + 1)
        self.loss.append(loss)
        self.lr.append(lr)
        self.samples_per_second.append(samples_per_second)

    @property
    def best_epoch(self) -> int | None:
        """First epoch with the highest score; None without scores."""
        return max(self.scores, key=self.scores.__getitem__) if self.scores else None

    def line(self, *, total: int, last: int) -> str:
        """Log line: progress, and means of loss and throughput over the `last` steps."""
        losses, speeds = self.loss[-last:], self.samples_per_second[-last:]
        return (
            f"step {len(self.loss)}/{total}  loss {sum(losses) / len(losses):.4f}  "
            f"lr {self.lr[-1]:.2e}  {len(speeds) / sum(1 / speed for speed in speeds):.1f} samples/s"
        )


@dataclass(kw_only=True)
class TrainState:
    """Model, optimizer, loss curve and the weights of the best epoch."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    identity: Mapping[str, Any]
    """What must be equal for a state to be resumed: the plan, and the `total` of steps."""
    history: History = field(default_factory=History)
    best: State | None = None
    """Weights of the best epoch so far, on the CPU; None if no epoch was scored."""
    average: WeightAverage | None = None
    """Moving average of the weights; None: none is kept."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return len(self.history.loss)

    def note_score(self, epoch: int, score: float | None) -> None:
        """Record the score of an epoch, counted from 1, and keep its weights if none was better."""
        if score is None:
            return
        self.history.scores[epoch] = score
        if self.history.best_epoch == epoch:
            self.best = {name: value.to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    def put_back(self) -> None:
        """Put back the average of the weights if one is kept, or else the best epoch if epochs had scores."""
        kept = self.average.weights if self.average else self.best
        if kept is not None:
            self.model.load_state_dict(kept)

    def state_dict(self) -> State:
        """Everything `load_state_dict` needs: plain containers and live tensors."""
        return {
            "identity": dict(self.identity),
            "step": self.step,
            "history": asdict(self.history),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            **({"average": self.average.weights} if self.average else {}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises:
            Refused: it belongs to another plan or other data.
        """
        theirs = state.get("identity", {})
        changed = [key for key, value in self.identity.items() if value != theirs.get(key)]
        sections = (*SECTIONS, "average") if self.average else SECTIONS
        changed += [name for name in sections if name not in state]
        if changed:
            raise Refused(f"the saved state is of another run, {changed} differ; force a training from the start")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = History(**copy.deepcopy(state["history"]))
        self.best = state["best"]
        if self.average:
            self.average.load(state["average"])
