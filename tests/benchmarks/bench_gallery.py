"""A gallery of 10,000 expressions against one of 500: `python -m tests.benchmarks.bench_gallery [folder]`.

Both are written and opened in Chromium from the disk. Told are: seconds to write, megabytes of the folder, milliseconds
until the page shows its first row, and, while the list stands still, is scrolled as by a wheel and is drawn over its
whole length within seconds: the share of frames that came later than one and a half 60ths of a second, and the longest
task of the page's own trace.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from assets.data.images import Pixels
from assets.data.tables import ImageRow
from assets.reports.gallery.writing import write_gallery
from tests.browser.test_ui import CHROMIUM, SWITCHES
from tests.galleries import OBJECTS, simulated

EXPRESSIONS = (500, 10_000)
PREDICTIONS = 4
"""Models beside the choice and the ground truth."""
ROUNDS = 5
SIZE = (640, 480)
SECONDS = 5
WAYS = {"standing still": 0.0, "wheel": 3000.0 * SECONDS, "whole length": 1e9}
"""Pixels that pass by in that time."""
LENGTH = """document.getElementById("list").scrollHeight - document.getElementById("list").clientHeight"""
SCROLL = """([seconds, far]) => new Promise((done) => {
  const list = document.getElementById("list"), frames = [], tasks = [], begin = performance.now();
  new PerformanceObserver((found) => tasks.push(...found.getEntries().map((one) => one.duration)))
    .observe({type: "longtask"});
  let last = begin;
  const step = (now) => {
    frames.push(now - last);
    last = now;
    list.scrollTop = far * Math.min(1, (now - begin) / (1000 * seconds));
    if (now - begin < 1000 * seconds) requestAnimationFrame(step);
    else setTimeout(() => done([frames.slice(2), tasks]), 100);
  };
  requestAnimationFrame(step);
})"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One size of gallery."""

    page: Path
    seconds: float
    again: float
    megabytes: float


def main() -> None:
    """Print both, and the ratio of the times to the first row."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        galleries = {count: _written(folder / str(count), count) for count in EXPRESSIONS}
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(SWITCHES))
            first = {count: [_first_row(browser, galleries[count].page)] for count in EXPRESSIONS}
            for _ in range(ROUNDS):
                for count in EXPRESSIONS:
                    first[count].append(_first_row(browser, galleries[count].page))
            for count, seen in galleries.items():
                sys.stdout.write(
                    f"{count} expressions: written in {seen.seconds:.1f} s, again in {seen.again:.1f} s, "
                    f"{seen.megabytes:.1f} MB, first row after {statistics.median(first[count]):.0f} ms\n"
                )
                for name, far in WAYS.items():
                    late, longest = _scrolled(browser, seen.page, far)
                    sys.stdout.write(
                        f"  {name}: {100 * late:.1f} % of the frames late, longest task {longest:.0f} ms\n"
                    )
            browser.close()
    few, many = (statistics.median(first[count]) for count in EXPRESSIONS)
    sys.stdout.write(f"time to the first row, {EXPRESSIONS[1]} to {EXPRESSIONS[0]}: ratio {many / few:.2f}\n")


def _written(folder: Path, expressions: int) -> Seen:
    gallery = simulated(-(-expressions // OBJECTS**2), predictions=PREDICTIONS)
    gallery = replace(gallery, rows=gallery.rows[:expressions])
    begin = time.monotonic()
    page = write_gallery(gallery, folder, _photograph).page
    middle = time.monotonic()
    write_gallery(gallery, folder, _photograph)
    size = sum(path.stat().st_size for path in page.parent.rglob("*") if path.is_file())
    return Seen(page=page, seconds=middle - begin, again=time.monotonic() - middle, megabytes=size / 1e6)


def _photograph(image: ImageRow) -> Pixels:
    """As hard to compress as one: noise of several sizes."""
    random, (width, height) = np.random.default_rng(int(image.image_id)), SIZE
    fine, coarse = (random.integers(0, 128, (height // n, width // n, 3), np.uint8) for n in (4, 32))
    return np.asarray(fine.repeat(4, 0).repeat(4, 1) + coarse.repeat(32, 0).repeat(32, 1))


def _first_row(browser: Any, page: Path) -> float:
    """Milliseconds from the navigation until rows stand in the list and were painted."""
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    opened.goto(page.as_uri())
    opened.wait_for_selector(".row[id] b")
    shown = opened.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(1))))")
    assert shown
    ready = float(opened.evaluate("+document.documentElement.dataset.ready"))
    opened.close()
    return ready


def _scrolled(browser: Any, page: Path, far: float) -> tuple[float, float]:
    """Share of late frames and the longest task in milliseconds, while so many pixels pass by."""
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    opened.goto(page.as_uri())
    opened.wait_for_selector(".row[id] b")
    opened.wait_for_timeout(1000)
    frames, tasks = opened.evaluate(SCROLL, [SECONDS, min(far, opened.evaluate(LENGTH))])
    opened.close()
    return float(np.mean(np.array(frames) > 1.5 * 1000 / 60)), max(tasks, default=0.0)


if __name__ == "__main__":
    main()
