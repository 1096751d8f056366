"""Training of a small model on rendered scenes: its budget, its seeded steps, its card and its command line.

The steps are taken by the engine of the methods, so a training that was killed goes on from its last checkpoint and
ends with the weights of an undisturbed one. Models, data and losses are each script's own.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ops.training.dataset import ImageSamples
from ops.training.plan import Plan
from ops.training.sampler import Step
from ops.training.train_state import History
from ops.training.trainer import Trainer
from resources.embedded.cards import CARD, EMBEDDED_FOLDER, read_card, training_command
from storage.weights import latest_checkpoint, save_checkpoint

Log = Callable[[str], None]
Loss = Callable[[np.random.Generator], Tensor]
"""The loss of a step, for which everything random is drawn from the generator or from torch's own."""
CHECKPOINTS = "checkpoints"
"""Folder beside the weights, while they are trained."""


@dataclass(frozen=True, kw_only=True)
class Budget(Plan):
    """What a training may use; weights are a function of it."""

    steps: int
    """Optimizer steps."""
    scenes: int
    """Rendered scenes to learn from."""
    held_out: int
    """Rendered scenes to be scored on."""
    epochs: int = 1
    batch_size: int = 1
    clip_norm: float | None = 1.0
    checkpoint_every_steps: int = 200
    log_every_steps: int = 50


@dataclass(frozen=True, kw_only=True)
class CosineSchedule:
    """Linear warm-up, then flat, then down along a cosine; every group from its own `peak`."""

    total: int
    warmup_steps: int = 100
    flat: float = 0.0
    """Share of the steps before the rate falls."""
    last: float = 0.0
    """Share of the peak that is left at the end."""

    def factor(self, step: int) -> float:
        """Share of the peak at a step, counted from 0."""
        progress = max(0.0, (step / self.total - self.flat) / (1 - self.flat))
        cosine = self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * progress))
        return min(1.0, (step + 1) / self.warmup_steps) * cosine

    def set_rates(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        """Give every group its rate; returns the first group's."""
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * self.factor(step)
        return float(optimizer.param_groups[0]["lr"])


class _StepNumbers(Dataset[int]):
    """The engine's data set of a training that draws its own batches: the number of the step."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, samples: ImageSamples) -> int:
        return samples[0][0]


@dataclass(frozen=True)
class _StepSampler:
    """One sample a step, its number."""

    per_epoch: int

    def epoch(self, epoch: int) -> Sequence[Step]:
        return [[[((step, 0),)]] for step in range(self.per_epoch)]


@dataclass(frozen=True)
class _Draw:
    """The engine's batch."""

    step: int

    def __len__(self) -> int:
        return 1

    def to(self, device: torch.device) -> Self:
        return self


def take_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    budget: Budget,
    *,
    folder: Path,
    log: Log,
    schedule: CosineSchedule | None = None,
) -> History:
    """Take the steps of a budget, from the last checkpoint on where an earlier process left one.

    Args:
        model: everything that learns and everything that must be as it was when training goes on.
        optimizer: of its parameters; the rates that it has now are the peaks.
        loss: called once a step.
        budget: steps, seed and clipping.
        folder: of the model; checkpoints lie in it until `finish`.
        log: takes one line of progress at a time.
        schedule: a cosine to zero if not given.
    """
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    checkpoints = folder / CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(
        model=model,
        optimizer=optimizer,
        plan=budget,
        schedule=schedule or CosineSchedule(total=budget.steps),
        sampler=_StepSampler(budget.steps),
        dataset=_StepNumbers(budget.steps),
        collate=lambda numbers: _Draw(numbers[0]),
        objective=lambda _, draw, step: loss(np.random.default_rng([budget.seed, draw.step])),
        resume=latest_checkpoint(checkpoints, log=log),
        save=lambda state: save_checkpoint(checkpoints, state),
        log=log,
    )
    return trainer.run()


def card_of(
    script: str, budget: Budget, history: History, scores: Mapping[str, float], *, start: Path | None = None
) -> dict[str, Any]:
    """What every card says of the training that made a model: command, budget, library versions, time and scores.

    Args:
        script: name of the training script, as in `python -m assets.pretraining.<script>`.
        budget: that it was trained with.
        history: of its steps.
        scores: on held-out scenes.
        start: folder of the model that it went on from, whose card is told as well.
    """
    command = f"python -m assets.pretraining.{script}"
    return {
        "command": f"{read_card(start)['command']} && {command} --start {start.name}" if start else command,
        "budget": {name: getattr(budget, name) for name in ("steps", "scenes", "held_out", "seed")},
        "libraries": {name: version(name) for name in ("torch", "numpy")},
        "seconds": round(sum(1 / rate for rate in history.samples_per_second)),
        "scores": {name: round(float(value), 4) for name, value in scores.items()},
        **({"started_from": {key: read_card(start)[key] for key in ("name", "sha256")}} if start else {}),
        "licence": "Apache-2.0",
    }


def finish(folder: Path, *, log: Log) -> None:
    """Throw the checkpoints away, and say how far the scores are from those of the model that ships."""
    shutil.rmtree(folder / CHECKPOINTS)
    scores = read_card(folder)["scores"]
    shipped = EMBEDDED_FOLDER / folder.name / CARD
    theirs = read_card(shipped.parent)["scores"] if shipped.is_file() else {}
    for name, value in scores.items():
        beside = f", {value - theirs[name]:+.4f} from the one that ships" if name in theirs else ""
        log(f"{name} {value:.4f}{beside}")


class Train(Protocol):
    """The `train` of a training script."""

    def __call__(self, out: Path, budget: Budget, *, start: Path | None = None, log: Log) -> None:
        """Write the model's folder; `start` is the folder of a model to go on from."""
        ...


def run_script(name: str, train: Train, budget: Budget) -> None:
    """The command line of the script that makes the embedded model `name`; the log goes to standard output."""
    parser = argparse.ArgumentParser(description=f"Make the embedded model {name!r}: {training_command(name)}.")
    parser.add_argument("--out", type=Path, default=Path("build/pretraining") / name, help="folder of the model")
    parser.add_argument("--start", type=Path, help="folder of a model to go on from")
    parser.add_argument("--steps", type=int, default=budget.steps)
    parser.add_argument("--scenes", type=int, default=budget.scenes)
    parser.add_argument("--seed", type=int, default=budget.seed)
    options = parser.parse_args()
    asked = replace(budget, steps=options.steps, scenes=options.scenes, seed=options.seed)
    train(options.out, asked, start=options.start, log=write_line)


def write_line(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
