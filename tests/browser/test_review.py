"""A person reviews ten referents by keys, takes one back, and a run computes exactly the rows that were decided."""

import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.ssc.tables import CHOICES
from resources.reviews import read_reviews
from tests.browser.serving import started
from tests.browser.test_gallery import PAINTED, until
from tests.browser.test_ui import CHROMIUM, page  # noqa: F401  a fixture
from tests.homes import CHOSEN, TRY, copy_home, finish
from tests.ports import free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]
REVIEWED = "{extends: try, datasets: [little], knobs: {mask_choices: {reviews: on}}}"


@pytest.fixture
def served(chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The address of a review and its home; it ends by Ctrl+C with exit code 0 and says what was written."""
    home = copy_home(chosen, tmp_path / "home", experiments={"try": TRY, "reviewed": REVIEWED})
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    port = free_port()
    command = [sys.executable, "-c", "from pipelines.cli import app; app()", "review", "--as", "Ada"]
    command += ["-d", "little", "-e", "try", "--port", str(port)]
    log = tmp_path / "review.log"
    with log.open("w") as output, started(command, {**os.environ, "OMP_NUM_THREADS": "1"}, output) as process:
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", home
    assert process.returncode == 0, log.read_text()
    assert "14 lines were added" in log.read_text()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def decided(page: Any, count: int) -> None:  # noqa: F811
    until(page, f"document.getElementById('count').textContent.startsWith('{count} of ')")


@pytest.mark.timeout(300)
def test_ten_referents_are_reviewed_by_keys_and_ten_rows_are_computed(
    served: tuple[str, Path],
    page: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    address, home = served
    before = CHOICES.read(finish(home, stages=CHOSEN)["try", "mask_choices"])
    errors: list[str] = []
    page.on("pageerror", lambda problem: errors.append(str(problem)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    until(page, f"({PAINTED})('canvas') > 2")
    decided(page, 0)
    first = page.locator("h2").inner_text()
    page.keyboard.press("u")
    page.get_by_text("There is nothing to take back.").wait_for()
    for number, key in enumerate(("2", "1", "0", "x", "2", "1", "1", "2", "1"), 1):
        page.keyboard.press(key)
        decided(page, number)
    page.keyboard.press("u")
    decided(page, 8)
    page.keyboard.press("0")
    decided(page, 9)
    page.keyboard.press("Enter")  # the next one, undecided as this one is
    page.keyboard.press("ArrowRight")
    page.locator("#candidates button").first.click()
    decided(page, 10)
    page.goto(address)  # what was decided is known to a new page, which goes on behind it
    decided(page, 10)
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    until(page, f"document.querySelector('h2').textContent === {first!r}")
    page.locator("#candidates button[aria-pressed=true]").wait_for()
    assert page.locator("#candidates button[aria-pressed=true] kbd").inner_text() == "2"
    page.keyboard.press("3")
    page.get_by_text("candidate 3. u takes it back.").wait_for()
    page.keyboard.press("u")
    page.get_by_text("Taken back. Decided: candidate 2, by Ada").wait_for()

    for scheme, width in (("light", 1300), ("dark", 1300), ("dark", 390), ("light", 320)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 844})
        page.screenshot(path=tmp_path / f"{scheme}_{width}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
    assert not errors

    verdicts = read_reviews("little").counted
    assert sorted(one.decision for one in verdicts.values()) == [*["absent"], *["mask"] * 7, *["none"] * 2]
    choices = finish(home, stages=CHOSEN)["reviewed", "mask_choices"]
    after = CHOICES.read(choices)
    assert [row for row in after if row.by_person] == [
        row for row, old in zip(after, before, strict=True) if row != old
    ]
    assert sum(row.by_person for row in after) == len(verdicts) == 10
    tally = choices.manifest.rows["rule_choices"]
    assert (tally.computed, tally.quarantined) == (0, 0)
