"""How long a comparison of 10,000 expressions takes, part by part, beside reading each mask's pixels once.

    python -m tests.benchmarks.bench_comparison

Two experiments with a choice and a model each; 1,112 images. The last column is a ratio within one run.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from assets.reports.comparison.figures import blocks_of
from assets.reports.comparison.pairs import pairs_of
from assets.reports.comparison.writing import Measured, write_comparison
from tests.comparisons import compared
from tests.galleries import OBJECTS, grey

EXPRESSIONS = 10_000
T = TypeVar("T")


def main() -> None:
    """Print a line for each part."""
    comparison = compared(["base", "other"], images=-(-EXPRESSIONS // OBJECTS**2), trained=["base", "other"])
    masks = [mask for part in comparison.parts for one in part.masks.values() for mask in one.masks.values() if mask]
    _, decoding = timed(lambda: [mask.decode().sum() for mask in masks])
    blocks, measuring = timed(lambda: blocks_of(comparison))
    pairs, pairing = timed(lambda: pairs_of(comparison))
    measured = Measured(comparison=comparison, blocks=blocks, pairs=pairs)
    with TemporaryDirectory() as folder:
        written, writing = timed(lambda: write_comparison(measured, Path(folder), grey))
        size = sum(path.stat().st_size for path in written.page.parent.rglob("*") if path.is_file())
    out = sys.stdout.write
    out(f"{len(comparison.rows):,} expressions, {len(masks):,} masks; ")
    out(f"{written.expressions} shown, {size / 1e6:.1f} MB\n")
    for name, seconds in (("measures and intervals", measuring), ("pairs", pairing), ("page", writing)):
        out(f"{name:24}{seconds:6.1f} s{seconds / decoding:8.2f} x decoding every mask\n")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and seconds."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


if __name__ == "__main__":
    main()
