"""Rows by 1, 2, 4 and 8 processes: a fake unit that waits 50 ms, as one that waits for a GPU does.

    python -m tests.benchmarks.bench_engines [units] [--ray]

Prints units a second, and milliseconds a unit above what the waiting itself takes when that many processes share it:
what handing out and bringing back cost; with 1, which is the step itself, nothing is handed out. Each unit brings back
64 KB. With `--ray` the same on a Ray cluster of two nodes on this machine. Start-up is not counted.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from resources.engines.engine import computed, cut
from resources.engines.worker import Log
from resources.runtime import Engine, Runtime
from storage.rows import Rows

SECONDS = 0.05
BYTES = 64 * 1024


@dataclass(frozen=True)
class Waits:
    """A `resources.engines.worker.Worker`, which begins when all are there."""

    runtime: Runtime
    folder: str
    gpu: bool = False
    small: bool = False

    def open(self, _: Log) -> Callable[[Sequence[int]], Iterator[Rows]]:
        """As `Worker.open`."""
        folder = Path(self.folder)
        (folder / str(os.getpid())).touch()
        while len(list(folder.iterdir())) < self.runtime.workers:
            time.sleep(0.01)
        return waited


def waited(numbers: Sequence[int]) -> Iterator[Rows]:
    """A row each."""
    for number in numbers:
        time.sleep(SECONDS)
        yield [{"number": number, "blob": bytes(BYTES)}]


def measured(engine: Engine, workers: int, units: int) -> tuple[float, float]:
    """Units a second, and milliseconds a unit above those that the waiting takes, after each worker's first batch."""
    from tests.benchmarks.bench_engines import Waits  # under the name that other processes know

    runtime = Runtime(engine=engine, workers=workers, threads=1)
    begun = units * workers - workers * len(cut(range(units * workers), workers=workers, together=1, at_most=16)[0])
    with TemporaryDirectory() as folder:
        rows = computed(Waits(runtime, folder), range(units * workers), together=1, log=lambda _: None)
        next(rows)
        first = time.monotonic()
        counted = sum(1 for _ in rows) and (begun if workers > 1 or engine == "ray" else units - 1)
        seconds = time.monotonic() - first
    return counted / seconds, 1000 * (seconds * workers / counted - SECONDS)


def main() -> None:
    """Measure and print."""
    from tests.resources.engines.clusters import two_nodes

    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    units, on_ray = (numbers or [96])[0], "--ray" in sys.argv
    with two_nodes(cpus=4) if on_ray else nullcontext():
        for workers in (1, 2, 4, 8):
            speed, overhead = measured("ray" if on_ray else "local", workers, units)
            sys.stdout.write(f"{workers} workers: {speed:.1f} units/s, {overhead:.2f} ms a unit above the waiting\n")


if __name__ == "__main__":
    main()
