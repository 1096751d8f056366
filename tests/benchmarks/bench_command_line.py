"""How long people wait for an answer of the command line: processor time beside `import dagster`, in one run.

    python -m tests.benchmarks.bench_command_line [rounds]

Every command starts in a process of its own; the ratio is of the best rounds. Modules are compiled once before, into a
folder of this run, as on a machine where wordmask was started before. The targets: help texts and wrong options 0.25,
the code location 1.4.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.paths import ROOT

COMMAND_LINE = "import sys; sys.argv[0] = 'wordmask'; from pipelines.cli import app; app()"
BASE = "import dagster"
CASES: dict[str, Sequence[str]] = {
    BASE: ("import dagster",),
    "wordmask --help": (COMMAND_LINE, "--help"),
    "an unknown command": (COMMAND_LINE, "statsu"),
    "an unknown option": (COMMAND_LINE, "status", "--datset", "toyref"),
    "an impossible value": (COMMAND_LINE, "run", "--processes", "0"),
    "wordmask status": (COMMAND_LINE, "status"),
    "wordmask report": (COMMAND_LINE, "report"),
    "the code location": ("import pipelines.definitions",),
}


def processor_seconds(words: Sequence[str], environment: Mapping[str, str]) -> float:
    """User and system time of one process."""
    before = os.times()
    subprocess.run([sys.executable, "-c", *words], cwd=ROOT, env=environment, capture_output=True, check=False)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main(rounds: int) -> None:
    """Print the best time of every case and its ratio to the import of Dagster."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPATH": str(ROOT),
            "PYTHONPYCACHEPREFIX": str(Path(folder) / "compiled"),
            "WORDMASK_HOME": str(Path(folder) / "home"),
        }
        for words in CASES.values():  # compiles
            processor_seconds(words, environment)
        times = [{name: processor_seconds(words, environment) for name, words in CASES.items()} for _ in range(rounds)]
    best = {name: min(round_[name] for round_ in times) for name in CASES}
    for name, seconds in best.items():
        sys.stdout.write(f"{name:<20}{seconds:>7.2f} s of processor time{seconds / best[BASE]:>7.2f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
