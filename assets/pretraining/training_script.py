"""What the training scripts of small models share: their command line, and what a card says of the runs.

Models, data and losses are each script's own.
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from resources.embedded.cards import read_card
from resources.toyref.scenes import FRAMINGS, Framing

SIDES: dict[Framing, int] = {"wide": 160, "close": 128}
"""Pixels along a side of what segmenter and CLIP see, near those of the scenes."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One run of a training script, as a card tells of it."""

    minutes: float
    seed: int
    first_scene: int
    """Seed of the first toyref scene it was trained on; the others follow."""
    scenes: int
    steps: int
    seconds: int
    framing: Framing = "wide"


def with_earlier_runs(run: TrainingRun, *, start: Path | None) -> dict[str, Any]:
    """What a card says about the training: "data", "command", "seconds", "steps" of all runs, and each of the "runs".

    Args:
        run: the run that made the model.
        start: the folder of the model it went on from, if any.
    """
    command = shlex.join(["python", "-m", *_module_and_arguments()])
    runs = [*(read_card(start)["runs"] if start else []), {"command": command, **asdict(run)}]
    ranges = [
        f"{item['first_scene']} to {item['first_scene'] + item['scenes'] - 1} ({item.get('framing', 'wide')})"
        for item in runs
    ]
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


class Train(Protocol):
    """The `train` of a training script."""

    def __call__(
        self,
        out: Path,
        *,
        minutes: float,
        seed: int = 0,
        start: Path | None = None,
        framing: Framing = "wide",
        log: Callable[[str], None],
    ) -> dict[str, float]:
        """Write the model's folder and return its scores; `start` is the folder of an earlier run to go on from."""
        ...


def run_script(train: Train, *, minutes: float, description: str) -> None:
    """The command line of a training script; `minutes` is what it takes by default. The log goes to standard output."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder of weights and card")
    parser.add_argument("--minutes", type=float, default=minutes, help="training time, scoring not counted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="folder of an earlier run to go on from")
    add_framing(parser)
    options = parser.parse_args()
    train(
        options.out,
        minutes=options.minutes,
        seed=options.seed,
        start=options.start,
        framing=options.framing,
        log=write_line,
    )


def add_framing(parser: argparse.ArgumentParser) -> None:
    """The option of every training script that says which scenes it renders."""
    parser.add_argument("--framing", choices=FRAMINGS, default="wide", help="how large objects are in the scenes")


def write_line(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
