"""Write toy data sets in the on-disk layout of RefCOCO, so that one reader serves both.

Belongs here: splits, seeds and files. Layout: `<style>/refs(unc).p` (umd for toyrefg), `<style>/instances.json`, and
JPEG images that all styles share in `images/mscoco/images/train2014`. A mask is a one-element list of compressed RLE,
the form that `refer.getMask` reads in its branch for non-polygons. Field names are those of S+S+C spec 1.1.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from ops.refusal import Refused
from resources.datasets.plain_json import read_json_object
from resources.toyref.expressions import STYLES, Expression, Style, describe
from resources.toyref.scenes import CLASSES, FRAMINGS, Focus, Framing, Scene, SceneObject, render_scene

Size = Literal["tiny", "small", "base"]
Record = dict[str, Any]

COUNTS: dict[Size, dict[str, int]] = {
    "tiny": {"train": 24, "val": 8, "testA": 6, "testB": 6},
    "small": {"train": 1200, "val": 80, "testA": 50, "testB": 50},
    "base": {"train": 3000, "val": 300, "testA": 150, "testB": 150},
}
"""Images per split."""
PRETRAINING_SEEDS_START = 1_000_000_000
"""Training scripts of embedded models render scenes from this seed on; no split ever does."""
SPLIT_SEED_RANGES: dict[str, range] = {
    "train": range(400_000_000),
    "val": range(400_000_000, 600_000_000),
    "testA": range(600_000_000, 800_000_000),
    "testB": range(800_000_000, PRETRAINING_SEEDS_START),
}
"""Scene seeds of each split."""
SEED_STRIDE = 10_000
"""Scene seeds set aside for each data set seed, more than any split has images."""
MAX_SEED = min(len(seeds) for seeds in SPLIT_SEED_RANGES.values()) // SEED_STRIDE - 1
FOCUS: dict[str, Focus] = {"train": "any", "val": "any", "testA": "people", "testB": "things"}
SINGLE_SHARE = 0.25
"""How often an object alone of its class is referred to in train and val."""
SHARED_CUES: dict[Framing, float] = {"wide": 0.0, "close": 0.6}
"""Chance that an expression takes up the cue of an earlier one of its referent; 0.6 makes half of all pairs alike."""
SPLIT_BY: dict[Style, str] = {"toyref": "unc", "toyref+": "unc", "toyrefg": "umd"}
IMAGE_FOLDER = Path("images/mscoco/images/train2014")
JPEG_QUALITY = 92
CATEGORY_IDS: dict[str, int] = {
    "person": 1,
    "bicycle": 2,
    "car": 3,
    "bus": 6,
    "boat": 9,
    "bird": 16,
    "cat": 17,
    "dog": 18,
    "umbrella": 28,
    "sports ball": 37,
    "bottle": 44,
    "cup": 47,
    "banana": 52,
    "apple": 53,
    "chair": 62,
    "clock": 85,
}
"""COCO's own category ids."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rendered:
    """One image of the data set with its ids."""

    image_id: int
    split: str
    scene: Scene
    framing: Framing
    first_ann: int

    @property
    def file_name(self) -> str:
        return f"COCO_train2014_{self.image_id:012d}.jpg"


def write_toyref(
    root: Path, *, styles: Sequence[Style] = STYLES, size: Size, seed: int = 0, framing: Framing = "close"
) -> None:
    """Write one folder per style and the images they share; the same arguments give the same bytes.

    Everything is written beside `root` first and moved there at the end, so `root` is whole or absent.

    Raises:
        Refused: for an unknown style, size or framing, a seed outside [0, MAX_SEED], or a `root` that is not empty.
    """
    _check(root, styles, size, seed, framing)
    partial = root.with_name(f".{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / IMAGE_FOLDER).mkdir(parents=True)
    images: list[Record] = []
    annotations: list[Record] = []
    refs: dict[Style, list[Record]] = {style: [] for style in styles}
    for rendered in _rendered(size, seed, framing):
        image = Image.fromarray(rendered.scene.image_HW3)
        image.save(partial / IMAGE_FOLDER / rendered.file_name, quality=JPEG_QUALITY)
        images.append(
            {"id": rendered.image_id, "file_name": rendered.file_name, "width": image.width, "height": image.height}
        )
        annotations += [_annotation(rendered, index) for index in range(len(rendered.scene.objects))]
        for style in styles:
            refs[style] += _refs(rendered, style, seen=refs[style])
    info = {"description": "toyref: scenes drawn by code", "version": "1", "size": size, "seed": seed}
    info |= {} if framing == "wide" else {"framing": framing}
    categories = [{"id": CATEGORY_IDS[name], "name": name} for name in CLASSES]
    instances = {"info": info, "images": images, "annotations": annotations, "categories": categories}
    for style in styles:
        _write_style(partial / style, style, instances, refs[style])
    partial.replace(root)


def require_world(folder: Path, *, size: Size, seed: int, framing: Framing = "close") -> None:
    """Refuse a style's folder that was written for another size, seed or framing, or by something else.

    Raises:
        Refused: says what to do.
    """
    info = read_json_object(folder / "instances.json").get("info")
    of_world = info if isinstance(info, dict) else {}
    found = of_world.get("size"), of_world.get("seed"), of_world.get("framing", "wide")
    if found != (size, seed, framing):
        known = found[0] in tuple(COUNTS) and type(found[1]) is int and found[2] in FRAMINGS
        held = f"a {found[2]} world of size {found[0]} and seed {found[1]}" if known else "no world of this project"
        raise Refused(
            f"{folder.parent} holds {held}, asked for are {framing}, {size} and {seed}: delete that folder, or give "
            "the data set another name"
        )


def scene_seeds(split: str, *, count: int, seed: int) -> range:
    """The scene seeds of one split of the data set with this seed."""
    start = SPLIT_SEED_RANGES[split].start + seed * SEED_STRIDE
    return range(start, start + count)


def _check(root: Path, styles: Sequence[Style], size: str, seed: int, framing: str) -> None:
    unknown = sorted(set(styles) - set(STYLES))
    if unknown or not styles:
        raise Refused(f"styles are {', '.join(unknown) or 'empty'}; use some of {', '.join(STYLES)}")
    if size not in COUNTS:
        raise Refused(f"size is {size!r}; use one of {', '.join(COUNTS)}")
    if framing not in FRAMINGS:
        raise Refused(f"framing is {framing!r}; use one of {', '.join(FRAMINGS)}")
    if not 0 <= seed <= MAX_SEED:
        raise Refused(f"seed is {seed}; use one from 0 to {MAX_SEED}, beyond it splits would share scenes")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise Refused(f"{root} already holds something; remove it or name a new folder")


def _rendered(size: Size, seed: int, framing: Framing) -> Iterator[_Rendered]:
    image_id, first_ann = 1, 1
    for split, count in COUNTS[size].items():
        for scene_seed in scene_seeds(split, count=count, seed=seed):
            scene = render_scene(scene_seed, focus=FOCUS[split], framing=framing)
            yield _Rendered(image_id=image_id, split=split, scene=scene, framing=framing, first_ann=first_ann)
            image_id, first_ann = image_id + 1, first_ann + len(scene.objects)


def _annotation(rendered: _Rendered, index: int) -> Record:
    thing = rendered.scene.objects[index]
    x0, y0, x1, y1 = thing.box
    code = rle.encode(np.asfortranarray(thing.mask_HW.astype(np.uint8)))
    return {
        "id": rendered.first_ann + index,
        "image_id": rendered.image_id,
        "category_id": CATEGORY_IDS[thing.category],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(thing.mask_HW.sum()),
        "segmentation": [{"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}],
        "iscrowd": 0,
    }


def _referred(rendered: _Rendered, rng: np.random.Generator) -> list[int]:
    """Objects that expressions refer to: those with company of their own class, a few others; people alone in testA."""
    objects = rendered.scene.objects
    company = Counter(thing.category for thing in objects)

    def chosen(thing: SceneObject) -> bool:
        single = rng.random() < SINGLE_SHARE and rendered.split in ("train", "val")
        right_class = (thing.category == "person") == (rendered.split == "testA") or rendered.split in ("train", "val")
        return right_class and (company[thing.category] > 1 or single)

    return [index for index, thing in enumerate(objects) if chosen(thing)]


def _refs(rendered: _Rendered, style: Style, *, seen: list[Record]) -> list[Record]:
    """Refs of one image; an object that the style cannot single out has none."""
    chosen = _referred(rendered, np.random.default_rng([rendered.scene.seed, 1]))
    rng = np.random.default_rng([rendered.scene.seed, 2, STYLES.index(style)])
    ref_id = len(seen)
    sent_id = seen[-1]["sent_ids"][-1] + 1 if seen else 0
    refs: list[Record] = []
    for index in chosen:
        shared = SHARED_CUES[rendered.framing]
        expressions = describe(rendered.scene, index, style=style, rng=rng, shared=shared)
        if not expressions:
            continue
        refs.append(_ref(rendered, index, style, expressions, ref_id=ref_id, sent_id=sent_id))
        ref_id, sent_id = ref_id + 1, sent_id + len(expressions)
    return refs


def _ref(
    rendered: _Rendered, index: int, style: Style, expressions: Sequence[Expression], *, ref_id: int, sent_id: int
) -> Record:
    sent_ids = list(range(sent_id, sent_id + len(expressions)))
    sentences = [_sentence(item.text, style, number) for item, number in zip(expressions, sent_ids, strict=True)]
    ann_id = rendered.first_ann + index
    return {
        "ref_id": ref_id,
        "ann_id": ann_id,
        "category_id": CATEGORY_IDS[rendered.scene.objects[index].category],
        "image_id": rendered.image_id,
        "split": "test" if style == "toyrefg" and rendered.split.startswith("test") else rendered.split,
        "sent_ids": sent_ids,
        "sentences": sentences,
        "file_name": f"COCO_train2014_{rendered.image_id:012d}_{ann_id}.jpg",
    }


def _sentence(text: str, style: Style, sent_id: int) -> Record:
    raw = f"{text[0].upper()}{text[1:]}." if style == "toyrefg" else text
    return {"tokens": text.split(), "raw": raw, "sent": text, "sent_id": sent_id}


def _write_style(folder: Path, style: Style, instances: Record, refs: list[Record]) -> None:
    folder.mkdir()
    (folder / "instances.json").write_text(json.dumps(instances, separators=(",", ":")), encoding="ascii")
    plain = json.loads(json.dumps(refs))  # pickle's bytes depend on which equal strings are one object
    (folder / f"refs({SPLIT_BY[style]}).p").write_bytes(pickle.dumps(plain, protocol=2))
