"""A result sent to and fetched from a shared folder, beside a copy of its files that is flushed and compared.

Both run in turn on the same disk. Sending hashes what it reads; fetching hashes what it writes, and makes it an
artifact. Peak memory is that of a process that sends and fetches the large result.

Run: python -m tests.benchmarks.bench_shared_store
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from storage.artifact import Store
from storage.files import sha256_of, sync_file
from tests.buckets import KEY, RECIPE, home_of
from tests.paths import ROOT

CASES = {"one file of 256 MB": (1, 256 * 2**20), "500 files of 64 KB": (500, 2**16)}
REPEATS = 3


def make(root: Path, count: int, size: int) -> Path:
    """An artifact of that many files of random bytes."""
    store = Store(root)
    with store.claim("numbers", "f1", recipe=RECIPE) as slot:
        for number in range(count):
            (slot.content / f"{number:03}.bin").write_bytes(os.urandom(size))
        artifact = slot.commit()
        store.point(KEY, "numbers", "f1", planned="planned")
    return artifact.path


def copy(source: Path, target: Path) -> None:
    """What sharing is compared with."""
    shutil.copytree(source, target)
    for path in target.iterdir():
        sync_file(path)
        assert sha256_of(path) == sha256_of(source / path.name)


def fetch(root: Path, url: str) -> None:
    """A claim of a home that has nothing."""
    with home_of(root, url).claim("numbers", "f1", recipe=RECIPE) as slot:
        assert slot.complete


def seconds(act: Callable[[], object]) -> float:
    """That it takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def compare(folder: Path, count: int, size: int) -> tuple[float, float]:
    """Medians of sending and of fetching, each over the copy beside it."""
    sending, fetching = [], []
    path = make(folder / "home", count, size)
    for number in range(REPEATS):
        shared = folder / f"shared-{number}"
        shared.mkdir()
        copied = seconds(lambda to=folder / f"copy-{number}": copy(path, to))  # type: ignore[misc]
        sending.append(seconds(lambda to=shared: home_of(folder / "home", str(to)).push(KEY)) / copied)  # type: ignore[misc]
        home = folder / f"reader-{number}"
        fetching.append(seconds(lambda to=shared, home=home: fetch(home, str(to))) / copied)  # type: ignore[misc]
    return statistics.median(sending), statistics.median(fetching)


def peak(folder: Path) -> float:
    """Megabytes of a process that sends and fetches the large result."""
    code = (
        "import sys; from pathlib import Path; from tests.buckets import KEY, home_of\n"
        "from tests.benchmarks.bench_shared_store import fetch\n"
        "home_of(Path(sys.argv[1]), sys.argv[2]).push(KEY); fetch(Path(sys.argv[3]), sys.argv[2])\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    (folder / "shared").mkdir()
    words = [sys.executable, "-c", code, *(str(folder / name) for name in ("home", "shared", "last"))]
    return int(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout) / 1024


def main() -> None:
    """Print the ratios."""
    for name, (count, size) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            sending, fetching = compare(Path(folder), count, size)
            memory = f", {peak(Path(folder)):.0f} MB at most" if count == 1 else ""
        sys.stdout.write(f"{name}: sending {sending:.1f} x, fetching {fetching:.1f} x a copy{memory}\n")


if __name__ == "__main__":
    main()
