"""What happens to one image that a stage cannot use."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from assets.data import images
from assets.data.images import ImageTask, computed_in_images, read_image
from assets.data.tables import ImageRow
from assets.framework.work import Work
from ops.refusal import Refused
from resources.datasets import ImageChangedError
from resources.runtime import Runtime
from storage.files import sha256_of
from storage.rows import Quarantined

IMAGE = ImageRow(image_id="strip.png", image_file="strip.png", width=3000, height=2, sha256="")


def computed(work: Work, compute: Any) -> list[Any]:
    task = ImageTask(image=IMAGE, payload=None, key="1")
    return [result for _, result in computed_in_images(work, lambda _: compute, lambda row: row, [task])]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """A stage whose one image is a strip."""
    monkeypatch.setattr(images, "read_pixels", lambda *_: np.zeros((2, 3000, 3), np.uint8))
    monkeypatch.setattr("assets.framework.work.open_dataset", lambda _: None)
    instance = SimpleNamespace(stage=SimpleNamespace(gpu=False), source=SimpleNamespace(config=None))
    fields: Any = {"instance": instance, "inputs": {}, "slot": None, "reuse": (), "log": print}
    return Work(runtime=Runtime(), **fields)


def test_what_a_model_refuses_is_quarantined_by_its_name_and_size(work: Work) -> None:
    def refuse(*_: Any) -> Any:
        raise Refused("height and width must be > 0")

    (found,) = computed(work, refuse)
    assert isinstance(found, Quarantined)
    assert found.reason == "strip.png (3000 x 2): height and width must be > 0"
    assert computed(work, lambda _, pixels: [{"width": pixels.shape[1]}]) == [[{"width": 3000}]]


@pytest.mark.parametrize(
    "mistake",
    [
        lambda _, pixels: list(zip(pixels, [1], strict=True)),
        lambda _, pixels: pixels + np.zeros((5, 5, 5)),
        lambda *_: ["mug"].index("cup"),
        lambda *_: np.stack([]),
        lambda *_: {"mug": 1}["cup"],
    ],
)
def test_a_mistake_in_the_code_is_not_taken_for_a_refusal(work: Work, mistake: Any) -> None:
    with pytest.raises((ValueError, KeyError)) as caught:
        computed(work, mistake)
    assert not isinstance(caught.value, Refused)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: Image.new("RGB", (4, 3), "blue").save(path), "a.png is another file now"),
        (lambda path: path.unlink(), r"a.png cannot be read any more \(.*is missing"),
    ],
)
def test_an_image_that_changed_while_stages_work_ends_the_stage(tmp_path: Path, spoil: Any, said: str) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 3), "red").save(path)
    work = cast(Work, SimpleNamespace(dataset=SimpleNamespace(image_path=lambda name: tmp_path / name)))
    image = replace(IMAGE, image_file="a.png", width=4, height=3, sha256=sha256_of(path))
    assert read_image(work, image)[0, 0].tolist() == [255, 0, 0]
    spoil(path)
    with pytest.raises(ImageChangedError, match=said + ".*put it back as it was, or start a new run"):
        read_image(work, image)
