"""How long people wait for what has nothing, or next to nothing, to compute: processor time beside `import dagster`.

    python -m tests.benchmarks.bench_waiting [rounds]

A small folder of images is run once, until the choices. Then, turn by turn: help, the state, a run of what is up to
date, one after a single sentence has changed, the import of the graph, and the graph built anew in a process that
serves it. Every case but the last starts in a process of its own; the best rounds count.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copyfile

from tests.benchmarks.bench_command_line import BASE, COMMAND_LINE, processor_seconds
from tests.homes import write_home, write_little_world
from tests.paths import ROOT

OWN = ("-d", "mine", "-e", "own")
WORDS = ("cup", "ball", "box")
IMAGES = 6
RELOADED = "import time, pipelines.definitions; from pipelines.graph.build import build_defs; b = time.process_time(); "
RELOADED += "build_defs().resolve_asset_graph(); import sys; sys.stderr.write(str(time.process_time() - b))"


def write_table(folder: Path, changed: str) -> None:
    """A sentence for each image, of which the last one has changed."""
    said = [f"the {WORDS[place % len(WORDS)]}" for place in range(IMAGES - 1)] + [f"the {changed}"]
    lines = [f"{place}.jpg,{sentence}" for place, sentence in enumerate(said)]
    (folder / "expressions.csv").write_text("\n".join(["image,expression", *lines]) + "\n")


def prepare(folder: Path) -> Path:
    """A home with a data set `mine` of a few images, and an experiment `own` that ends in the choices; the home."""
    home, images = folder / "home", folder / "mine"
    write_little_world(home)
    images.mkdir()
    drawn = sorted((home / "worlds" / "little").rglob("*.jpg"))
    for place in range(IMAGES):
        copyfile(drawn[place], images / f"{place}.jpg")
    write_table(images, "first cup")
    return write_home(
        home,
        datasets={"mine": f"{{kind: folder, root: {images}}}"},
        experiments={"own": "{extends: base, datasets: [mine], targets: [mask_choices]}"},
    )


def cases(environment: Mapping[str, str], images: Path) -> dict[str, Callable[[int], float]]:
    """What is measured: round -> processor seconds."""

    def command(*words: str) -> Callable[[int], float]:
        return lambda _: processor_seconds(words, environment)

    def one_sentence(turn: int) -> float:
        write_table(images, f"{WORDS[turn % len(WORDS)]} of round {turn}")
        return processor_seconds((COMMAND_LINE, "run", *OWN), environment)

    def reloaded(_: int) -> float:
        done = subprocess.run(
            [sys.executable, "-c", RELOADED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return float(done.stderr.splitlines()[-1])

    return {
        BASE: command(BASE),
        "wordmask --help": command(COMMAND_LINE, "--help"),
        "wordmask status": command(COMMAND_LINE, "status", *OWN),
        "a run of nothing": command(COMMAND_LINE, "run", *OWN),
        "a run of one changed sentence": one_sentence,
        "the code location": command("import pipelines.definitions"),
        "the graph built anew": reloaded,
    }


def main(rounds: int) -> None:
    """Print the best time of every case and its ratio to the import of Dagster."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = prepare(folder)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "WORDMASK_HOME": str(home), "OMP_NUM_THREADS": "1"}
        processor_seconds((COMMAND_LINE, "run", *OWN), environment)
        measured = cases(environment, folder / "mine")
        times = [{case: take(turn) for case, take in measured.items()} for turn in range(rounds)]
    best = {case: min(one[case] for one in times) for case in measured}
    for case, seconds in best.items():
        sys.stdout.write(f"{case:<32}{seconds:>7.2f} s of processor time{seconds / best[BASE]:>7.2f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
