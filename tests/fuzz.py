"""`make fuzz`: the readers' properties over ever new seeds, for as long as it may take.

Each round draws 500 inputs a property from a seed of its own. A failure ends the run and prints its seed, with which
`pytest --hypothesis-seed` draws the same again.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter

SUMMARY = re.compile(r"^(?P<reader>[\w .-]+): (?P<told>[\d,]+ (?:accepted|quarantined|refused).*)$", re.MULTILINE)


def main() -> int:
    """Rounds until the time is over or one fails; 0 where all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to go on")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first round; the next has one more")
    asked = parser.parse_args()
    outcomes: Counter[tuple[str, str]] = Counter()
    end = time.monotonic() + 60 * asked.minutes
    seed = asked.seed
    while time.monotonic() < end:
        said, held = one_round(seed, seconds=end - time.monotonic())
        outcomes += counted(said)
        if not held:
            print(said, f"seed {seed} failed", sep="\n")  # noqa: T201  its purpose
            break
        seed += 1
    for (reader, outcome), number in sorted(outcomes.items()):
        print(f"{reader:32} {outcome:12} {number:10,}")  # noqa: T201
    print(f"{seed - asked.seed} whole rounds from seed {asked.seed}")  # noqa: T201
    return 0 if time.monotonic() >= end else 1


def one_round(seed: int, *, seconds: float) -> tuple[str, bool]:
    """What pytest printed, and whether every property held in the time that was left."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "property", "tests/cases", "--timeout", "0"]
    drawing = ["--hypothesis-profile", "fuzz", f"--hypothesis-seed={seed}"]
    try:
        finished = subprocess.run(
            [*command, *drawing], capture_output=True, text=True, timeout=seconds, env=os.environ, check=False
        )
    except subprocess.TimeoutExpired as cut:
        return (cut.stdout or b"").decode() if isinstance(cut.stdout, bytes) else (cut.stdout or ""), True
    return finished.stdout + finished.stderr, finished.returncode == 0


def counted(said: str) -> Counter[tuple[str, str]]:
    """(reader, outcome) -> inputs, from the lines that `tests/cases/conftest.py` prints."""
    found: Counter[tuple[str, str]] = Counter()
    for line in SUMMARY.finditer(said):
        for part in line["told"].split(", "):
            number, outcome = part.split(" ")
            found[line["reader"], outcome] += int(number.replace(",", ""))
    return found


if __name__ == "__main__":
    sys.exit(main())
