"""YOLO's segmentation format: a folder of images and one of text files for each split, and `data.yaml`.

A line is an object: its class, which is always 0, and one polygon in shares of width and height. The polygon runs
through the outermost pixels, and a mask of several parts or with holes is one polygon, too (`ops.outlines`). A stage
that has a mask for every expression gives a line for each. What a line shows, and how sure the stage is, is in
`objects.csv`, since the format has no place for it.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath

import yaml

from assets.data.tables import ImageRow
from assets.exports.coco import csv_bytes
from assets.exports.given import CATEGORY, Export, File, Given
from ops.outlines import one_polygon
from storage.outputs import file_name

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Of image files that both ultralytics and supervision look for."""
WITHIN_A_PIXEL = 0.25
"""Where in its pixel a corner lies: readers that cut digits off and readers that round find the same pixel."""
COLUMNS = ("label_file", "line", "ref_id", "sent_ids", "expression", "score")
TRAINING, CHECKING = ("train", "training"), ("val", "valid", "validation", "dev", "test")
"""Splits that `data.yaml` calls `train` and `val`, the first that is there."""


def files(export: Export) -> Iterator[File]:
    """Images, labels, `data.yaml` and `objects.csv`."""
    stems = _stems(export)
    grouped = _grouped(export.given)
    for (split, image_id), masks in grouped.items():
        image = export.images[image_id]
        yield File(f"/images/{split}/{_image_name(image, stems[image_id])}", partial(export.read, image))
        yield File(f"/labels/{split}/{stems[image_id]}.txt", partial(_labels, masks))
    splits = list(dict.fromkeys(split for split, _ in grouped))
    yield File("/data.yaml", lambda: data_page(splits))
    rows = [COLUMNS, *_rows(grouped, stems)]
    yield File("/objects.csv", lambda: csv_bytes(rows, guard_formulas=export.guard_formulas))


def data_page(splits: Sequence[str]) -> bytes:
    """`data.yaml`; all splits stay where they are, and those that no key is for are tests."""
    train = next((split for split in TRAINING if split in splits), splits[0] if splits else "train")
    val = next((split for split in CHECKING if split in splits and split != train), None)
    rest = [split for split in splits if split not in (train, val)]
    val = val or (rest.pop(0) if rest else train)
    page: dict[str, object] = {"path": ".", "train": f"images/{train}", "val": f"images/{val}", "names": {0: CATEGORY}}
    if rest:
        page["test"] = [f"images/{split}" for split in rest]
    return yaml.safe_dump(page, sort_keys=False, allow_unicode=True).encode()


def _labels(masks: Sequence[Given]) -> bytes:
    return "".join(f"{_line(one)}\n" for one in masks).encode()


def _line(one: Given) -> str:
    corners_N2 = (one_polygon(one.mask.decode()) + WITHIN_A_PIXEL) / (one.mask.width, one.mask.height)
    return " ".join(["0", *(f"{share:.6f}" for share in corners_N2.ravel())])


def _grouped(given: Sequence[Given]) -> dict[tuple[str, str], list[Given]]:
    """(Split as a folder, image id) -> masks."""
    grouped: dict[tuple[str, str], list[Given]] = {}
    for one in given:
        grouped.setdefault((file_name(one.referent.split), one.image.image_id), []).append(one)
    return grouped


def _stems(export: Export) -> dict[str, str]:
    """Image id -> the name of its files without their ending; no two are alike in whatever letters."""
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for image_id in dict.fromkeys(one.image.image_id for one in export.given):
        path = PurePosixPath(export.images[image_id].image_file)
        wished = file_name("_".join(path.with_suffix("").parts))
        others = (f"{wished}-{number}" for number in range(2, len(export.images) + 3))
        stems[image_id] = next(name for name in (wished, *others) if name.casefold() not in taken)
        taken.add(stems[image_id].casefold())
    return stems


def _image_name(image: ImageRow, stem: str) -> str:
    """The ending is the file's own; one that no reader looks for is called .png, which they open by its content."""
    suffix = PurePosixPath(image.image_file).suffix.lower()
    return f"{stem}{suffix if suffix in SUFFIXES else '.png'}"


def _rows(grouped: dict[tuple[str, str], list[Given]], stems: dict[str, str]) -> Iterator[Sequence[str]]:
    for (split, image_id), masks in grouped.items():
        for number, one in enumerate(masks, 1):
            said, texts = one.expressions, "; ".join(one.expressions.values())
            score = "" if one.score is None else f"{one.score:.6f}"
            numbers = " ".join(map(str, said))
            yield f"labels/{split}/{stems[image_id]}.txt", str(number), str(one.referent.ref_id), numbers, texts, score
