"""The processes of a training, forked from one that has imported all: for tests."""

import os
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.framework import distributed
from tests.processes import warm_processes


@dataclass
class Forked:
    """A process of the training as `Popen` shows it, without the seconds that it takes to import all anew."""

    folder: Path
    rank: int

    def __post_init__(self) -> None:
        self.process = warm_processes().Process(target=member, args=(self.folder, self.rank))
        self.process.start()

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> None:
        self.process.join()


def member(folder: Path, rank: int) -> None:
    warnings.simplefilter("ignore")  # torch's, of gradients that lie otherwise than it would lay them
    distributed._start = Forked  # type: ignore[assignment]
    distributed.main(folder, rank, os.getppid())


def launch_forked(command: Sequence[str]) -> None:
    """What `run_stage` takes as `launch`."""
    first = Forked(Path(command[-3]), 0)
    first.wait()
    if first.poll():
        raise subprocess.CalledProcessError(first.poll() or 0, list(command))
