"""Where the time of the demo goes: each stage's share of the whole, from an installed environment and an empty home.

    python -m tests.benchmarks.bench_demo [experiment]

Stages say in their manifests how long their bodies took; what is left is start-up, Dagster's own work and the store.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from storage.artifact import Store
from tests.paths import ROOT

RUN = "from pipelines.cli import app; app()"


def timed(home: Path, experiment: str) -> float:
    """Seconds that a run takes in an empty home."""
    began = time.perf_counter()
    command = [sys.executable, "-c", RUN, "run", "--dataset", "toyref", "--experiment", experiment]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "WORDMASK_HOME": str(home)}, check=True)
    return time.perf_counter() - began


def seconds_of(home: Path) -> dict[str, float]:
    """Stage -> seconds of its body."""
    refs = Store(home / "store").refs()
    return {key[-1]: float(artifact.manifest.extra.get("seconds", 0.0)) for key, artifact in refs.items()}


def lines(whole: float, stages: Mapping[str, float]) -> list[str]:
    """What is printed: the largest share first."""
    parts = {**stages, "start-up, Dagster, the store": whole - sum(stages.values())}
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return [f"{seconds / whole:6.1%}  {name}" for name, seconds in ordered] + [f"whole: {whole:.0f} s on this machine"]


def main(experiment: str) -> None:
    """Run, and print the shares."""
    with tempfile.TemporaryDirectory() as folder:
        whole = timed(Path(folder), experiment)
        for line in lines(whole, seconds_of(Path(folder))):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "base")
