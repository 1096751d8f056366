"""A person opens the pages, sees the graph, presses Materialize and sees what came out."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.paths import PROJECT
from resources.toyref.refcoco_writer import COUNTS
from tests.browser.serving import finished, newest_run, pages
from tests.homes import write_home

CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECOND = 1000
"""Playwright counts milliseconds."""
STAGES = ("references", "ground_truth", "noun_phrases", "candidate_masks", "mask_choices", "zs_bootstrap", "report")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the tiny embedded world, whose index a terminal run has already made."""
    home = write_home(
        tmp_path / "home",
        datasets={"tiny": "{kind: toyref, toy: {size: tiny}, experiments: [base]}"},
        experiments={"look": "{datasets: [tiny], targets: [dataset_index]}"},
    )
    code = "from pipelines.commands.run import run_experiment as run; raise SystemExit(not run('tiny', 'look'))"
    subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env={**os.environ, "WORDMASK_HOME": str(home)}, check=True
    )
    return home


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a headless browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(SWITCHES))
        try:
            page = browser.new_page(viewport={"width": 1500, "height": 1400})
            page.set_default_timeout(60 * SECOND)
            yield page
        finally:
            browser.close()


@pytest.mark.timeout(300)
def test_the_graph_is_shown_and_an_asset_is_materialized_from_its_page(home: Path, page: Any, tmp_path: Path) -> None:
    with pages(home, patience=150.0) as address:
        page.goto(f"{address}/locations/__repository__@wordmask/asset-groups/tiny__base")
        for stage in STAGES:
            page.get_by_text(stage, exact=True).first.wait_for()
        page.screenshot(path=tmp_path / "graph.png")

        page.goto(f"{address}/assets/tiny/base/references")
        page.get_by_text("Never materialized").wait_for()
        before = newest_run(address)
        page.get_by_text("Materialize", exact=True).first.click()
        assert finished(address, after=before) == "SUCCESS"

        page.reload()
        page.get_by_text("Row count").first.wait_for()
        for text in ("expressions: quarantined", "sent_id", "cleaned sentence", "tiny / dataset_index"):
            page.get_by_text(text, exact=True).first.wait_for()
        shown = page.inner_text("body").split("\n")
        images = COUNTS["tiny"]
        assert shown[shown.index("images") + 4] == str(sum(images.values()))
        page.screenshot(path=tmp_path / "asset.png", full_page=True)

        page.get_by_text("[Show Markdown]").first.click()
        picture = page.locator("img[src^='data:image/png;base64,']").first
        picture.wait_for()
        page.screenshot(path=tmp_path / "preview.png")
        assert picture.evaluate("one => one.naturalWidth") > 100
