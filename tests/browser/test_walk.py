"""A person turns a knob and turns it back, registers an experiment, drops new images and breaks a file, pages open."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple

import pytest

from pipelines.commands.launching import run_experiment
from storage.artifact import Artifact, Store
from tests.browser.serving import ask, finished, newest_run, pages
from tests.browser.test_ui import CHROMIUM, page  # noqa: F401  a fixture
from tests.homes import LITTLE, copy_home, write_home
from tests.processes import warm_processes

PLAIN = "{extends: base, datasets: [little], targets: [choice_scores]}"
SHARP = "{{extends: plain, datasets: [little], knobs: {{mask_choices: {{sigma: {sigma}}}}}}}"
OWN = "{extends: base, datasets: [mine], targets: [mask_choices]}"
SENTENCES = ("the red cup", "the blue ball", "the green box", "the cup on the left", "the small ball", "a yellow cup")
KEPT = 3
"""Images of `mine` before the others are dropped."""
AFFECTED = {("little", "sharp", "mask_choices"), ("little", "sharp", "choice_scores")}
STALE = "{ assetNodes { assetKey { path } staleStatus } }"
EVENTS = """{{ runOrError(runId: "{run}") {{ ... on Run {{
  assetSelection {{ path }} eventConnection {{ events {{ ... on MessageEvent {{ message }} }} }}
}} }} }}"""
REGISTERED = """ops:
  write_experiment:
    config:
      name: blurred
      extends: plain
      knobs: {mask_choices: {sigma: 0.2}}
"""
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]


class Served(NamedTuple):
    """Open pages over a home whose experiments have run."""

    address: str
    home: Path
    images: Path
    """The folder of the data set `mine`."""

    @property
    def store(self) -> Store:
        return Store(self.home / "store")

    def group(self, name: str) -> str:
        return f"{self.address}/locations/__repository__@wordmask/asset-groups/{name}"

    def of_status(self, *statuses: str) -> set[tuple[str, ...]]:
        nodes = ask(self.address, STALE)["assetNodes"]
        return {tuple(one["assetKey"]["path"]) for one in nodes if one["staleStatus"] in statuses}

    def choices(self) -> list[Artifact]:
        return [one for one in self.store.artifacts() if one.path.parent.name == "mask_choices"]


@pytest.fixture(scope="module")
def served(chosen: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("walk")
    home = copy_home(
        chosen, folder / "home", experiments={"plain": PLAIN, "sharp": SHARP.format(sigma=0.04), "own": OWN}
    )
    images = folder / "mine"
    images.mkdir()
    drop(images, home, range(KEPT))
    write_home(
        home, datasets={"little": LITTLE, "mine": f"{{kind: folder, root: {images}, watch: true}}"}, experiments={}
    )
    process = warm_processes().Process(target=run_all, args=(home,))
    process.start()
    process.join()
    assert process.exitcode == 0
    with pages(home, patience=150.0) as address:
        yield Served(address, home, images)


def run_all(home: Path) -> None:
    os.environ["WORDMASK_HOME"] = str(home)
    for dataset, experiment in (("little", "plain"), ("little", "sharp"), ("mine", "own")):
        assert run_experiment(dataset, experiment)


def drop(folder: Path, home: Path, places: range) -> None:
    """Put images of the little world, with a sentence each, into a folder."""
    drawn = sorted((home / "worlds" / "little").rglob("*.jpg"))
    table = folder / "expressions.csv"
    lines = table.read_text() if table.exists() else "image,expression\n"
    for place in places:
        copyfile(drawn[place], folder / f"{place}.jpg")
        lines += f"{place}.jpg,{SENTENCES[place]}\n"
    table.write_text(lines)


def until(condition: Callable[[], bool], what: str, patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def reload_definitions(page: Any, served: Served, group: str) -> None:  # noqa: F811
    """By the button of the page, as a person does."""
    page.goto(served.group(group))
    page.get_by_text("Reload definitions", exact=True).first.click()


def turn(page: Any, served: Served, sigma: float) -> None:  # noqa: F811
    """Edit the knob in its file, reload, and see which assets are unsynced."""
    (served.home / "experiments" / "sharp.yaml").write_text(SHARP.format(sigma=sigma))
    reload_definitions(page, served, "little__sharp")
    until(lambda: served.of_status("STALE") == AFFECTED, f"not these are stale: {served.of_status('STALE')}")
    page.get_by_text("Unsynced").nth(len(AFFECTED) - 1).wait_for()
    assert page.get_by_text("Unsynced").count() == len(AFFECTED)


def materialize_unsynced(page: Any, served: Served) -> str:  # noqa: F811
    """From the menu beside "Materialize all"; all that the run said."""
    before = newest_run(served.address)
    box = page.get_by_role("button", name="Materialize all").bounding_box()
    page.mouse.click(box["x"] + box["width"] + 12, box["y"] + box["height"] / 2)
    page.get_by_role("menuitem", name="Materialize unsynced").click()
    page.get_by_role("button", name="Materialize 2").click()
    assert finished(served.address, after=before) == "SUCCESS"
    run = ask(served.address, EVENTS.format(run=newest_run(served.address)["runId"]))["runOrError"]
    assert {tuple(one["path"]) for one in run["assetSelection"]} == AFFECTED
    until(lambda: not served.of_status("STALE") & AFFECTED, f"still stale: {served.of_status('STALE')}")
    return "\n".join(one.get("message") or "" for one in run["eventConnection"]["events"])


def opened_from(page: Any, served: Served, asset: str, address: str) -> Any:  # noqa: F811
    """Materialize a page's asset, and follow the link on the asset's page."""
    before = newest_run(served.address)
    page.goto(f"{served.address}/assets/little/{asset}")
    page.get_by_text("Materialize", exact=True).first.click()
    assert finished(served.address, after=before) == "SUCCESS"
    page.reload()
    with page.expect_popup() as popup:
        page.locator(f"a[href='{address}']").first.click()
    return popup.value


def test_a_knob_turned_and_turned_back(served: Served, page: Any, tmp_path: Path) -> None:  # noqa: F811
    known = len(served.choices())
    turn(page, served, 0.06)
    page.screenshot(path=tmp_path / "unsynced.png")
    assert "found an equal artifact" not in materialize_unsynced(page, served)
    assert len(served.choices()) == known + 1  # the earlier result is kept

    compared = opened_from(page, served, "comparison", "/comparison/little/plain_and_sharp/index.html")
    shown = compared.inner_text("body").split()
    assert {"plain", "sharp", "0.078", "0.06"} <= set(shown)
    gallery = opened_from(page, served, "gallery", "/gallery/little/index.html")
    gallery.locator("#show").select_option("choice (S2), sharp")

    turn(page, served, 0.04)
    assert materialize_unsynced(page, served).count("found an equal artifact") == len(AFFECTED)
    assert len(served.choices()) == known + 1


def test_an_experiment_is_registered_from_the_launchpad(served: Served, page: Any, tmp_path: Path) -> None:  # noqa: F811
    before = newest_run(served.address)
    page.goto(f"{served.address}/locations/__repository__@wordmask/jobs/register_experiment/playground")
    page.get_by_role("button", name="Launch Run").wait_for()
    until(lambda: "sharper" in page.locator(".CodeMirror").inner_text(), "the launchpad does not begin with an example")
    until(page.get_by_role("button", name="Launch Run").is_enabled, "what the launchpad begins with is not valid")
    page.evaluate("(text) => document.querySelector('.CodeMirror').CodeMirror.setValue(text)", REGISTERED)
    page.wait_for_timeout(1000)  # it is checked
    page.screenshot(path=tmp_path / "launchpad.png")
    page.get_by_role("button", name="Launch Run").click()
    assert finished(served.address, after=before) == "SUCCESS"
    reload_definitions(page, served, "little__sharp")
    own = {("little", "blurred", "mask_choices"), ("little", "blurred", "choice_scores")}
    until(lambda: own <= served.of_status("MISSING"), f"these are missing: {served.of_status('MISSING')}")
    page.goto(served.group("little__blurred"))
    for stage in ("mask_choices", "choice_scores"):
        page.get_by_text(stage, exact=True).first.wait_for()


def test_three_new_images_cost_their_rows_alone(served: Served) -> None:
    before = newest_run(served.address)
    drop(served.images, served.home, range(KEPT, len(SENTENCES)))
    assert finished(served.address, after=before, patience=500) == "SUCCESS"
    run = ask(served.address, EVENTS.format(run=newest_run(served.address)["runId"]))["runOrError"]
    assert {one["path"][0] for one in run["assetSelection"]} == {"mine"}
    for stage in ("candidate_masks", "mask_choices"):
        for tally in served.store.resolve(["mine", "own", stage]).manifest.rows.values():
            assert (tally.reused, tally.computed, tally.quarantined) == (KEPT, len(SENTENCES) - KEPT, 0)


def test_a_broken_file_is_shown_with_its_error_and_takes_nothing_else_with_it(
    served: Served,
    page: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    known = served.of_status("FRESH", "STALE", "MISSING")
    (served.home / "experiments" / "torn.yaml").write_text("{extends: base, knobs: {mask_choices: {sigmma: 1}}}")
    reload_definitions(page, served, "little__plain")
    torn = ("left_out", "torn_1")
    until(lambda: torn in served.of_status("FRESH", "STALE", "MISSING"), "the broken file is not shown")
    assert served.of_status("FRESH", "STALE", "MISSING") == {*known, torn}
    page.goto(f"{served.address}/assets/{'/'.join(torn)}")
    page.get_by_text("no knob is called sigmma; did you mean sigma?").first.wait_for()
    page.screenshot(path=tmp_path / "torn.png")
