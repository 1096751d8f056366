"""Training for a given time: what the recipes of small models share.

Belongs here: the learning-rate schedule over wall-clock time, and the command line that sets it. Models, data and
losses are each recipe's own.
"""

import argparse
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from resources.embedded.cards import read_card


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One step to take."""

    step: int
    """From 0."""
    elapsed: float
    """Seconds since the first step."""
    report: bool
    """Whether this step should be logged: the first, and then one about every `REPORT_SECONDS`."""


REPORT_SECONDS = 20.0


def paced_steps(optimiser: torch.optim.Optimizer, *, minutes: float, warm_up: int = 100) -> Iterator[Tick]:
    """Steps until the time is over; the learning rate rises over `warm_up` steps and falls to zero as a cosine of time.

    The peak of each parameter group is the rate it has now.
    """
    peaks = [group["lr"] for group in optimiser.param_groups]
    start, reported, step = time.monotonic(), -math.inf, 0
    while (elapsed := time.monotonic() - start) < 60 * minutes or step == 0:
        fraction = min(1.0, elapsed / max(60 * minutes, 1e-9))
        factor = min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * fraction))
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        report = elapsed - reported >= REPORT_SECONDS
        if report:
            reported = elapsed
        yield Tick(step=step, elapsed=elapsed, report=report)
        step += 1


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a recipe, as a card tells of it."""

    minutes: float
    seed: int
    first_scene: int
    """Seed of the first toyref scene it was trained on; the others follow."""
    scenes: int
    steps: int
    seconds: int


def with_earlier_runs(run: Run, *, start: Path | None) -> dict[str, Any]:
    """What a card says about the training: "data", "command", "seconds", "steps" of all runs, and each of the "runs".

    Args:
        run: the run that made the model.
        start: the folder of the model it went on from, if any.
    """
    command = shlex.join(["python", "-m", *_module_and_arguments()])
    runs = [*(read_card(start)["runs"] if start else []), {"command": command, **asdict(run)}]
    ranges = [f"{item['first_scene']} to {item['first_scene'] + item['scenes'] - 1}" for item in runs]
    return {
        "data": f"toyref scenes of seeds {' and '.join(ranges)}, which no split uses",
        "command": " && ".join(item["command"] for item in runs),
        "seconds": sum(item["seconds"] for item in runs),
        "steps": sum(item["steps"] for item in runs),
        "runs": runs,
    }


def _module_and_arguments() -> list[str]:
    """The module that was started with `python -m`, and its arguments."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return [spec.name if spec else Path(sys.argv[0]).name, *sys.argv[1:]]


class Recipe(Protocol):
    """A recipe's `train`."""

    def __call__(
        self, out: Path, *, minutes: float, seed: int = 0, start: Path | None = None, log: Callable[[str], None]
    ) -> dict[str, float]:
        """Write the model's folder and return its scores; `start` is the folder of an earlier run to go on from."""
        ...


def run_recipe(train: Recipe, *, minutes: float, description: str) -> None:
    """The command line of a recipe; `minutes` is what it takes by default. The log goes to standard output."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder of weights and card")
    parser.add_argument("--minutes", type=float, default=minutes, help="training time, scoring not counted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="folder of an earlier run to go on from")
    options = parser.parse_args()
    train(options.out, minutes=options.minutes, seed=options.seed, start=options.start, log=_write_line)


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
