"""Tiny data sets, written whole and then spoilt by the tests."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resources.datasets import DatasetConfig
from tests.paths import SHARED

IMAGES = Path("images/mscoco/images/train2014")


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not there")
    return folder


def picture(path: Path, *, width: int = 40, height: int = 30, **save: Any) -> Path:
    """Write a picture whose left half is red and right half blue."""
    pixels_HW3 = np.zeros((height, width, 3), np.uint8)
    pixels_HW3[:, : width // 2, 0] = 255
    pixels_HW3[:, width // 2 :, 2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_HW3).save(path, **save)
    return path


def sentence(sent_id: int, text: Any) -> dict[str, Any]:
    return {"sent_id": sent_id, "sent": text, "raw": f"{text}!", "tokens": str(text).split()}


def reference(ref_id: int, *, image: int = 1, split: str = "train", texts: tuple[Any, ...] = ("red thing",)) -> Any:
    return {
        "ref_id": ref_id,
        "ann_id": 100 + ref_id,
        "image_id": image,
        "category_id": 1,
        "split": split,
        "sent_ids": [],
        "sentences": [sentence(10 * ref_id + index, text) for index, text in enumerate(texts)],
        "file_name": f"odd_{ref_id}.jpg",
    }


def square(ref_id: int, image: int = 1) -> Any:
    return {
        "id": 100 + ref_id,
        "image_id": image,
        "category_id": 1,
        "bbox": [2, 2, 10, 10],
        "area": 100,
        "iscrowd": 0,
        "segmentation": [[2, 2, 12, 2, 12, 12, 2, 12]],
    }


class ReferSet:
    """A refer-layout data set that tests change before they write it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refs: list[Any] = [reference(1, texts=("red thing", "left one")), reference(2, image=2, split="val")]
        self.images: list[Any] = [
            {"id": number, "file_name": f"COCO_{number}.jpg", "width": 40, "height": 30} for number in (1, 2)
        ]
        self.annotations: list[Any] = [square(1), square(2, 2)]
        for image in self.images:
            picture(root / IMAGES / image["file_name"])

    def write(self, **config: Any) -> DatasetConfig:
        folder = self.root / "refcoco"
        folder.mkdir(exist_ok=True)
        (folder / "refs(unc).p").write_bytes(pickle.dumps(self.refs, protocol=2))
        categories = [{"id": 1, "name": "person"}]
        data = {"images": self.images, "annotations": self.annotations, "categories": categories}
        (folder / "instances.json").write_text(json.dumps(data))
        return DatasetConfig(kind="refer", root=self.root, **config)


@pytest.fixture
def refer_set(tmp_path: Path) -> ReferSet:
    return ReferSet(tmp_path)


@pytest.fixture
def folder_set(tmp_path: Path) -> Callable[..., DatasetConfig]:
    """Write a user's folder with two pictures and a manifest of the given name and text."""
    picture(tmp_path / "images" / "a.jpg")
    picture(tmp_path / "images" / "b.png", width=20)

    def write(text: str | bytes, *, name: str = "expressions.csv", **config: Any) -> DatasetConfig:
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return DatasetConfig(kind="folder", root=tmp_path, **config)

    return write
