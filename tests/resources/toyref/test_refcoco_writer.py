import hashlib
import io
import json
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from resources.toyref import refcoco_writer as writer
from resources.toyref.refcoco_writer import (
    COUNTS,
    FOCUS,
    IMAGE_FOLDER,
    MAX_SEED,
    PRETRAINING_SEEDS_START,
    SPLIT_SEED_RANGES,
    require_world,
    scene_seeds,
    write_toyref,
)
from resources.toyref.scenes import render_scene

FILES = {"toyref": "refs(unc).p", "toyref+": "refs(unc).p", "toyrefg": "refs(umd).p"}


class PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise AssertionError(f"the pickle asks for {module}.{name}")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "toy"
    write_toyref(root, size="tiny")
    return root


def _refs(root: Path, style: str) -> list[dict[str, Any]]:
    return PlainUnpickler(io.BytesIO((root / style / FILES[style]).read_bytes())).load()


def _instances(root: Path, style: str) -> dict[str, Any]:
    return json.loads((root / style / "instances.json").read_text())


def _bytes(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    write_toyref(tmp_path / "again", size="tiny")
    assert _bytes(tmp_path / "again") == _bytes(root)


def test_a_world_from_before_framings_keeps_its_bytes(tmp_path: Path) -> None:
    """JPEG's bytes depend on the library; those of the scene and of all sentences do not."""
    write_toyref(tmp_path / "world", size="tiny", framing="wide")
    files = {name: content for name, content in _bytes(tmp_path / "world").items() if not name.endswith(".jpg")}
    total = hashlib.sha256(b"".join(files[name] for name in sorted(files)))
    assert total.hexdigest() == "c517d2dee51181cf225301fd2d88e0fac9c57b5a4b85723e5dd0c4779cb49b91"


def test_a_world_says_how_it_is_framed(root: Path) -> None:
    require_world(root / "toyref", size="tiny", seed=0)
    with pytest.raises(ValueError, match="holds a close world of size tiny and seed 0, asked for are wide"):
        require_world(root / "toyref", size="tiny", seed=0, framing="wide")


def test_another_seed_gives_other_images(root: Path, tmp_path: Path) -> None:
    write_toyref(tmp_path / "other", styles=["toyref"], size="tiny", seed=1)
    assert not set(_bytes(tmp_path / "other").values()) & set(_bytes(root).values())


@pytest.mark.parametrize("style", FILES)
def test_refs_are_plain_records_with_the_fields_of_refcoco(root: Path, style: str) -> None:
    refs = _refs(root, style)
    keys = {"ref_id", "ann_id", "category_id", "image_id", "split", "sent_ids", "sentences", "file_name"}
    assert {frozenset(ref) for ref in refs} == {frozenset(keys)}
    assert [ref["ref_id"] for ref in refs] == list(range(len(refs)))
    sentences = [sentence for ref in refs for sentence in ref["sentences"]]
    assert [sentence["sent_id"] for sentence in sentences] == list(range(len(sentences)))
    assert [sent_id for ref in refs for sent_id in ref["sent_ids"]] == list(range(len(sentences)))
    assert all(sentence["tokens"] == sentence["sent"].split() for sentence in sentences)
    assert all(set(sentence) == {"tokens", "raw", "sent", "sent_id"} for sentence in sentences)
    assert (root / style / FILES[style]).read_bytes()[:2] == b"\x80\x02"


@pytest.mark.parametrize("style", FILES)
def test_refs_point_at_annotations_of_their_image_and_class(root: Path, style: str) -> None:
    annotations = {item["id"]: item for item in _instances(root, style)["annotations"]}
    for ref in _refs(root, style):
        assert annotations[ref["ann_id"]]["image_id"] == ref["image_id"]
        assert annotations[ref["ann_id"]]["category_id"] == ref["category_id"]


def test_splits_have_their_names_and_counts(root: Path) -> None:
    images: dict[str, set[int]] = {}
    for ref in _refs(root, "toyref"):
        images.setdefault(ref["split"], set()).add(ref["image_id"])
    assert {split: len(ids) for split, ids in images.items()} == COUNTS["tiny"]
    assert {ref["split"] for ref in _refs(root, "toyrefg")} == {"train", "val", "test"}
    assert sum(len(ids) for ids in images.values()) == len(set().union(*images.values()))


def test_test_a_is_about_people_and_test_b_about_other_things(root: Path) -> None:
    refs = _refs(root, "toyref")
    assert {ref["category_id"] for ref in refs if ref["split"] == "testA"} == {1}
    assert 1 not in {ref["category_id"] for ref in refs if ref["split"] == "testB"}


# pycocotools 2.0 speaks numpy 1's __array__ protocol when it decodes
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_instances_hold_every_object_pixel_by_pixel(root: Path) -> None:
    instances = _instances(root, "toyref+")
    names = {item["id"]: item["name"] for item in instances["categories"]}
    scene = render_scene(scene_seeds("val", count=1, seed=0)[0], focus=FOCUS["val"])
    image_id = COUNTS["tiny"]["train"] + 1
    found = [item for item in instances["annotations"] if item["image_id"] == image_id]
    assert [names[item["category_id"]] for item in found] == [thing.category for thing in scene.objects]
    for item, thing in zip(found, scene.objects, strict=True):
        # what refer.getMask does with a segmentation whose first element is no list
        mask_HW = np.sum(rle.decode(item["segmentation"]), axis=2)
        np.testing.assert_array_equal(mask_HW.astype(bool), thing.mask_HW)
        x0, y0, x1, y1 = thing.box
        assert item["bbox"] == [x0, y0, x1 - x0, y1 - y0]
        assert item["area"] == thing.mask_HW.sum()
        assert item["iscrowd"] == 0


def test_images_are_jpegs_of_the_stated_size_near_the_drawn_scene(root: Path) -> None:
    records = _instances(root, "toyref")["images"]
    assert len(records) == sum(COUNTS["tiny"].values())
    for record in records:
        with Image.open(root / IMAGE_FOLDER / record["file_name"]) as image:
            assert image.format == "JPEG"
            assert image.size == (record["width"], record["height"])
    scene = render_scene(scene_seeds("train", count=1, seed=0)[0], focus=FOCUS["train"])
    with Image.open(root / IMAGE_FOLDER / records[0]["file_name"]) as image:
        error = np.abs(np.asarray(image, np.float32) - scene.image_HW3)
    assert error.mean() < 6


def test_styles_share_images_and_instances(root: Path) -> None:
    assert _instances(root, "toyref") == _instances(root, "toyref+") == _instances(root, "toyrefg")


def test_no_split_reaches_another_or_the_seeds_of_the_recipes() -> None:
    ranges = sorted(SPLIT_SEED_RANGES.values(), key=lambda seeds: seeds.start)
    assert all(one.stop <= two.start for one, two in pairwise(ranges))
    for counts in COUNTS.values():
        for split, count in counts.items():
            for seed in (0, 1, MAX_SEED):
                seeds = scene_seeds(split, count=count, seed=seed)
                assert SPLIT_SEED_RANGES[split].start <= seeds.start < seeds.stop <= SPLIT_SEED_RANGES[split].stop
                assert seeds.stop <= PRETRAINING_SEEDS_START
                assert count <= writer.SEED_STRIDE


def test_a_failed_write_leaves_nothing_and_the_next_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(writer, "_write_style", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            write_toyref(tmp_path / "toy", styles=["toyref"], size="tiny")
    assert not (tmp_path / "toy").exists()
    write_toyref(tmp_path / "toy", styles=["toyref"], size="tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"size": "huge"}, "small"),
        ({"size": "tiny", "framing": "far"}, "close"),
        ({"size": "tiny", "styles": ["refcoco"]}, "toyrefg"),
        ({"size": "tiny", "seed": MAX_SEED + 1}, "share scenes"),
        ({"size": "tiny", "seed": -1}, "from 0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        write_toyref(tmp_path / "toy", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_not_overwritten(root: Path) -> None:
    with pytest.raises(ValueError, match="already holds"):
        write_toyref(root, size="tiny")
