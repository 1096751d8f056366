"""A person opens the pages, sees the graph, presses Materialize and sees what came out."""

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.commands.launching import run_experiment
from resources.toyref.refcoco_writer import COUNTS
from tests.browser.serving import ask, finished, newest_run, pages
from tests.homes import write_home
from tests.processes import warm_processes

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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pages of a home with the tiny embedded world, whose index a terminal run has already made."""
    home = write_home(
        tmp_path_factory.mktemp("pages") / "home",
        datasets={"tiny": "{kind: toyref, toy: {size: tiny}, experiments: [base]}"},
        experiments={"look": "{datasets: [tiny], targets: [dataset_index]}"},
    )
    process = warm_processes().Process(target=index, args=(home,))
    process.start()
    process.join()
    assert process.exitcode == 0
    with pages(home, patience=150.0) as address:
        yield address


def index(home: Path) -> None:
    os.environ["WORDMASK_HOME"] = str(home)
    assert run_experiment("tiny", "look")


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
def test_the_graph_is_shown_and_an_asset_is_materialized_from_its_page(address: str, page: Any, tmp_path: Path) -> None:
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
    for text in ("expressions: quarantined", "sent_id", "cleaned expression", "tiny / dataset_index"):
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


ATTACK = """async (address) => {
  const body = JSON.stringify({query: "mutation { reloadWorkspace { __typename } }"});
  const tried = [];
  for (const type of ["application/json", "text/plain"]) {
    try {
      const answer = await fetch(`${address}/graphql`,
        {method: "POST", mode: "no-cors", headers: {"Content-Type": type}, body});
      tried.push(answer.type);
    } catch (problem) { tried.push("failed"); }
  }
  const image = new Image();
  image.src = `${address}/graphql?query=${encodeURIComponent("mutation { reloadWorkspace { __typename } }")}`;
  await new Promise((done) => { image.onload = image.onerror = done; });
  const socket = new WebSocket(address.replace("http", "ws") + "/graphql", "graphql-ws");
  tried.push(await new Promise((done) => {
    socket.onopen = () => done("open");
    socket.onclose = () => done("closed");
  }));
  return tried;
}"""


@pytest.mark.timeout(300)
def test_a_page_of_another_site_changes_nothing_while_the_pages_are_open(address: str, page: Any) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        statuses: list[tuple[str, int]] = []
        page.on("response", lambda answer: statuses.append((answer.request.method, answer.status)))
        page.goto(f"http://localhost:{other.server_port}/")
        tried = page.evaluate(ATTACK, address)
        other.shutdown()
        assert tried[-1] == "closed"
        assert {status for method, status in statuses if method == "POST"} == {403}
        assert [status for method, status in statuses if method == "GET"][-1] == 403
        assert (
            ask(address, "mutation { reloadWorkspace { __typename } }")["reloadWorkspace"]["__typename"] == "Workspace"
        )


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another site."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_: object) -> None:
        pass
