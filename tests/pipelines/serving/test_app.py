"""The HTTP interface: masks in three forms, errors that say what to do, limits, guard, batches, measures and pages."""

import asyncio
import base64
import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from assets.data.images import Pixels
from assets.segmenters.answers import Answer
from ops.refusal import Refused
from pipelines.commands.answering import Answering
from pipelines.commands.serve import listening

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `serve` is not installed")
pytest.importorskip("multipart", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient

from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher, Busy
from pipelines.serving.limits import RequestLimits

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}
LIMITS = RequestLimits(bytes=20_000, pixels=5_000, sentences=3)


def by_colour(expressions: Sequence[str], pixels: Pixels) -> list[Answer]:
    """The pixels of the colour that an expression names."""
    if "green" in expressions:
        raise Refused("green is not served")
    if "bug" in expressions:
        raise RuntimeError("a mistake")
    masks = [(pixels == COLOURS.get(text, (1, 2, 3))).all(-1) for text in expressions]
    return [Answer(mask=mask, reason="model", confidence=0.75 if mask.any() else None) for mask in masks]


def picture(width: int = 40, height: int = 30) -> bytes:
    """Red above, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 3], pixels[height // 3 :] = COLOURS["red"], COLOURS["blue"]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def client() -> Iterator[TestClient]:
    answering = Answering(dataset="mine", experiment="try", by="zs_bootstrap", segment=by_colour)
    app = build_app(answering, limits=LIMITS, wait_seconds=0.001)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient, *sentences: str, image: bytes | None = None, **form: str) -> Any:
    files = {"image": ("a.png", picture() if image is None else image)}
    return client.post("/segment", files=files, data={"sentences": list(sentences), **form})


def test_masks_come_as_run_lengths_as_png_and_as_a_zip_and_are_the_same(client: TestClient) -> None:
    found = ask(client, "red", "yellow").json()
    assert found["image"] | {"sha256": ""} == {"width": 40, "height": 30, "sha256": ""}
    assert found["answered_by"] == {"by": "zs_bootstrap", "experiment": "try", "dataset": "mine", "note": ""}
    red, yellow = found["answers"]
    mask = coco.decode(red["segmentation"]).astype(bool)
    assert mask[:10].all()
    assert not mask[10:].any()
    assert (red["found"], red["confidence"], red["area"], red["bbox"]) == (True, 0.75, 400, [0, 0, 40, 10])
    assert (yellow["found"], yellow["confidence"], yellow["area"], yellow["bbox"]) == (False, None, 0, None)
    drawn = ask(client, "red", masks="png").json()["answers"][0]
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn["png"])))) == mask).all()
    assert drawn["segmentation"] is None
    packed = zipfile.ZipFile(io.BytesIO(ask(client, "red", "green", "blue", masks="zip").content))
    assert packed.namelist() == ["answers.json", "0.png", "2.png"]
    assert (np.asarray(Image.open(packed.open("0.png"))) == mask).all()
    assert [one["found"] for one in json.loads(packed.read("answers.json"))["answers"]] == [True, False, True]


def test_one_bad_sentence_does_not_lose_the_others(client: TestClient) -> None:
    red, green, empty = ask(client, "red", "green", "\u200b").json()["answers"]
    assert red["found"]
    assert green["problem"]["message"] == "green is not served"
    assert empty["problem"]["message"] == "the expression has no visible character"
    assert all(one["problem"]["advice"] for one in (green, empty))


PNG = {"image": ("a.png", picture())}
CALLS: dict[str, tuple[int, str, Callable[[TestClient], Any]]] = {
    "no sentence": (422, "invalid_form", lambda c: c.post("/segment", files=PNG)),
    "no image": (422, "invalid_form", lambda c: c.post("/segment", data={"sentences": "red"})),
    "no form": (422, "invalid_form", lambda c: c.post("/segment", json={"sentences": "red"})),
    "another form of masks": (422, "invalid_form", lambda c: ask(c, "red", masks="tiff")),
    "too many sentences": (422, "too_many_sentences", lambda c: ask(c, *["red"] * 4)),
    "no picture": (400, "unreadable_image", lambda c: ask(c, "red", image=b"text")),
    "an empty picture": (400, "unreadable_image", lambda c: ask(c, "red", image=b"")),
    "half a picture": (400, "unreadable_image", lambda c: ask(c, "red", image=picture()[:60])),
    "too many pixels": (413, "too_large", lambda c: ask(c, "red", image=picture(100, 51))),
    "too many bytes": (413, "too_large", lambda c: ask(c, "red", image=bytes(20_001))),
    "too many bytes, said by no header": (
        413,
        "too_large",
        lambda c: c.post("/segment", content=pieces(), headers={"content-type": "multipart/form-data; boundary=x"}),
    ),
    "no such path": (404, "http", lambda c: c.get("/masks")),
    "no such method": (405, "http", lambda c: c.get("/segment")),
    "a mistake of the server": (500, "bug", lambda c: ask(c, "bug")),
}


def pieces() -> Iterator[bytes]:
    yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    for _ in range(30):
        yield bytes(1000)


@pytest.mark.parametrize("call", CALLS)
def test_errors_have_a_code_a_message_and_advice_and_the_server_goes_on(client: TestClient, call: str) -> None:
    status, code, act = CALLS[call]
    answer = act(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]
    assert answer.json()["error"]["advice"]
    assert ask(client, "red").json()["answers"][0]["found"]


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Host": "evil.example"}, "is not this machine's"),
        ({"Origin": "http://evil.example"}, "may change nothing here"),
        ({"Sec-Fetch-Site": "cross-site"}, "a page of another site"),
    ],
)
def test_other_sites_are_refused(client: TestClient, headers: dict[str, str], told: str) -> None:
    answer = client.post("/segment", files=PNG, data={"sentences": "red"}, headers=headers)
    assert answer.status_code == 403
    assert told in answer.text


def test_health_and_measures(client: TestClient) -> None:
    ask(client, "red", "yellow", "green")
    client.get("/no/such/path")
    health = client.get("/health").json()
    assert (health["status"], health["by"], health["waiting"]) == ("ok", "zs_bootstrap", 0)
    measured = client.get("/metrics").text
    for line in (
        'wordmask_requests_total{path="/segment",status="200"} 1.0',
        'wordmask_requests_total{path="other",status="404"} 1.0',
        'wordmask_sentences_total{outcome="found"} 1.0',
        'wordmask_sentences_total{outcome="nothing"} 1.0',
        'wordmask_sentences_total{outcome="refused"} 1.0',
        "wordmask_batch_requests_count 1.0",
    ):
        assert line in measured


@pytest.mark.parametrize("path", ["/", "/api"])
def test_pages_load_nothing_from_elsewhere_and_run_only_their_own_script(client: TestClient, path: str) -> None:
    answer = client.get(path)
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", answer.headers["content-security-policy"])
    assert nonce
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", answer.text)
    assert answer.text.count(f'nonce="{nonce[1]}"') == answer.text.count("<script") + answer.text.count("<style")
    assert client.get(path).text != answer.text  # another nonce
    assert not re.search(r"\son\w+=", answer.text)


def test_the_api_is_described_for_programs_and_for_people(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/segment", "/health", "/metrics"}
    assert {"200", "400", "413", "422", "503"} <= set(schema["paths"]["/segment"]["post"]["responses"])
    page = client.get("/api").text
    for name in ("sentences", "confidence", "segmentation", "POST /segment"):
        assert name in page


# batches


class Counted:
    """A model that notes what it is asked, and waits where it is told to."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, expressions: Sequence[str], pixels: Pixels) -> list[Answer]:
        self.go.wait(10)
        self.calls.append(list(expressions))
        self.threads.add(threading.current_thread().name)
        return by_colour(expressions, pixels)


def gathered(batcher: Batcher, *asked: tuple[str, str]) -> list[Any]:
    """The answers to requests of (image, sentence) that come at once."""
    pixels = np.full((2, 2, 3), COLOURS["red"], np.uint8)

    async def run() -> list[Any]:
        batcher.start()
        waiting = [batcher.ask(image, [text], pixels) for image, text in asked]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await batcher.stop()
        return list(answers)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("together", "calls"),
    [(True, [["red", "yellow"], ["blue"]]), (False, [["red"], ["blue"], ["yellow"]])],
)
def test_sentences_about_one_image_share_a_pass_of_a_trained_model(together: bool, calls: list[list[str]]) -> None:
    model, batches = Counted(), list[int]()
    batcher = Batcher(
        segment=model, together=together, wait_seconds=0.2, at_once=3, on_batch=lambda number, _: batches.append(number)
    )
    answers = gathered(batcher, ("a", "red"), ("b", "blue"), ("a", "yellow"))
    assert [answer[0].found for answer in answers] == [True, False, False]
    assert model.calls == calls
    assert batches == [3]
    assert len(model.threads) == 1
    assert not model.threads & {"MainThread"}


def test_a_mistake_reaches_its_own_request_and_the_next_are_answered() -> None:
    batcher = Batcher(segment=Counted(), together=True)
    bug, fine = gathered(batcher, ("a", "bug"), ("b", "red"))
    assert isinstance(bug, RuntimeError)
    assert fine[0].found


def test_a_full_queue_says_so() -> None:
    batcher = Batcher(segment=Counted(), together=True, waiting_at_most=1)
    answers = gathered(batcher, ("a", "red"), ("b", "red"), ("c", "red"))
    assert [isinstance(answer, Busy) for answer in answers] == [False, True, True]


def test_what_waits_is_given_up_when_the_server_ends() -> None:
    model = Counted()
    model.go.clear()

    async def run() -> list[Any]:
        batcher = Batcher(segment=model, together=False, wait_seconds=0, at_once=1)
        batcher.start()
        pixels = np.zeros((2, 2, 3), np.uint8)
        asked = [asyncio.create_task(batcher.ask(name, ["red"], pixels)) for name in "ab"]
        while batcher.waiting != 1:  # the first is computed
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.05, model.go.set)
        await batcher.stop()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second = asyncio.run(run())
    assert len(first) == 1
    assert isinstance(second, asyncio.CancelledError)
    assert model.calls == [["red"]]


def test_a_taken_port_is_told() -> None:
    with listening("127.0.0.1", 0) as taken, pytest.raises(Refused, match="cannot be served"):
        listening("127.0.0.1", taken.getsockname()[1])
