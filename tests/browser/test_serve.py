"""A person drops a picture on the page of `wordmask serve`, types a sentence and sees the mask over it."""

import base64
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.data.tables import images_in, referents_in
from tests.browser.serving import started
from tests.browser.test_ui import CHROMIUM, page  # noqa: F401  a fixture
from tests.homes import CHOSEN, TRY, copy_home, finish
from tests.ports import free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]
DROP = """async ([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type: "image/jpeg"}));
  const drop = document.getElementById("drop");
  for (const kind of ["dragenter", "dragover", "drop"])
    drop.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""
COLOURED = """() => {
  const view = document.getElementById("view"), canvas = view.getContext("2d");
  const {data} = canvas.getImageData(0, 0, view.width, view.height);
  let red = 0;  // the rim of the first mask
  for (let at = 0; at < data.length; at += 4) red += data[at] == 230 && data[at + 1] == 57 && data[at + 2] == 70;
  return red;
}"""


@pytest.fixture(scope="module")
def served(chosen: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, str]]:
    """The address of a server without a trained model, a picture and a sentence; it ends by Ctrl+C with exit code 0."""
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    references = {stage: artifact for (_, stage), artifact in finish(chosen, stages=CHOSEN).items()}["references"]
    referent = referents_in(references)[0]
    image = images_in(references)[referent.image_id]
    home = copy_home(chosen, tmp_path_factory.mktemp("serve") / "home", experiments={"try": TRY})
    port = free_port()
    command = [sys.executable, "-c", "from pipelines.cli import app; app()", "serve"]
    command += ["-d", "little", "-e", "try", "--port", str(port)]
    environment = {**os.environ, "WORDMASK_HOME": str(home), "OMP_NUM_THREADS": "1"}
    log = home.with_name("serve.log")
    with log.open("w") as output, started(command, environment, output) as process:
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        picture = next((home / "worlds").rglob(Path(image.image_file).name))
        yield f"http://127.0.0.1:{port}", picture, referent.expressions[0]
    assert process.returncode == 0, log.read_text()
    assert "choice (S1 and S2, no trained model) of try on little" in log.read_text()
    assert log.read_text().rstrip().endswith("ended")


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.timeout(200)
def test_a_dropped_picture_and_a_typed_sentence_give_a_mask_over_it(
    served: tuple[str, Path, str],
    page: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    address, picture, said = served
    errors: list[str] = []
    page.on("pageerror", lambda problem: errors.append(str(problem)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.get_by_label("What to look for").fill(said)
    page.get_by_role("button", name="Find").click()
    page.get_by_text("Choose a picture first.").wait_for()

    page.evaluate(DROP, [base64.b64encode(picture.read_bytes()).decode(), picture.name])
    page.get_by_role("img", name=picture.name).wait_for()
    assert page.evaluate(COLOURED) == 0
    sentence = page.get_by_label("What to look for")
    sentence.press("Enter")
    page.get_by_text(f'Found "{said}".').wait_for()
    page.get_by_role("img", name=f'with the mask of "{said}" over it').wait_for()
    assert page.evaluate(COLOURED) > 10
    assert "confidence" in page.get_by_role("list", name="Answers").inner_text()
    page.get_by_role("button", name="hide").click()
    assert page.evaluate(COLOURED) == 0
    page.get_by_role("button", name="show").click()

    sentence.fill("the unicorn in the sky that nobody drew")
    sentence.press("Enter")
    page.get_by_text("nobody drew").first.wait_for()
    for scheme, width in (("light", 1200), ("dark", 1200), ("light", 390)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=tmp_path / f"{scheme}_{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not errors
