"""ReferIt (ReferItGame on SAIAPR TC-12, also RefCLEF) as text_objseg lays it out.

`<root>/<name>_query_all.json`, `_imcrop.json`, `_imsize.json` (each may end in `.gz`), `_<split>_imlist.txt`, images in
`<root>/images/<image>.jpg`, and optionally masks in `<root>/mask/<image>_<region>.mat`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ops.refusal import Refused
from resources.datasets.ground_truth import encode_ground_truth, segmentation_problem
from resources.datasets.reading import GroundTruths, Layout, Manifest
from resources.datasets.records import DatasetConfig, Expression, GroundTruth, QuarantinedRow

SPLITS = ("train", "val", "test")
MASK_KEY = "segimg_t"
"""Matrix in a mask file; the region is where it is 0."""


def read_manifest(config: DatasetConfig) -> Manifest:
    """Read all expressions of all regions in file order; each region is one object.

    Raises:
        Refused: A file is missing or malformed.
    """
    query_path, size_path = _find(config, "query_all"), _find(config, "imsize")
    lists = [path for split in SPLITS if (path := config.root / f"{config.name}_{split}_imlist.txt").is_file()]
    if not lists:
        raise Refused(f"{config.root} holds no {config.name}_train_imlist.txt; the image lists define the splits")
    queries, sizes, splits = _json(query_path), _json(size_path), _splits(config)
    rows: list[Expression] = []
    quarantined: list[QuarantinedRow] = []
    masks = config.root / "mask"
    sent_id = 0
    for ref_id, (region, expressions) in enumerate(queries.items()):
        image_id = str(region).rpartition("_")[0]
        texts = expressions if isinstance(expressions, list) and expressions else [None]
        for text in texts:
            sent_id += 1
            reason = _problem(image_id, text, sizes, splits)
            split = splits.get(image_id, "")
            if reason is not None or not isinstance(text, str):
                item = f"region {region}, sentence {sent_id}"
                quarantined.append(
                    QuarantinedRow(where=query_path.name, item=item, reason=str(reason), ref_id=ref_id, split=split)
                )
                continue
            width, height = sizes[f"{image_id}.jpg"]
            rows.append(
                Expression(
                    ref_id=ref_id,
                    object_id=str(region),
                    image_id=image_id,
                    image_file=f"{image_id}.jpg",
                    width=width,
                    height=height,
                    split=split,
                    sent_id=sent_id,
                    expression=text,
                    raw=text,
                )
            )
    return Manifest(
        files=(query_path, size_path, *lists),
        image_folder=config.root / "images",
        rows=tuple(rows),
        quarantined=tuple(quarantined),
        mask_files=tuple(masks / f"{region}.mat" for region in queries) if masks.is_dir() else (),
    )


def read_ground_truth(config: DatasetConfig) -> GroundTruths:
    """Read the masks that are there; without a mask folder there is no ground truth and both lists are empty.

    Raises:
        Refused: A manifest file is missing or malformed.
    """
    folder = config.root / "mask"
    objects: list[GroundTruth] = []
    broken: list[QuarantinedRow] = []
    if not folder.is_dir():
        return objects, broken
    sizes = _json(_find(config, "imsize"))
    for region in _json(_find(config, "query_all")):
        image_id = str(region).rpartition("_")[0]
        found = _ground_truth(folder / f"{region}.mat", str(region), image_id, sizes.get(f"{image_id}.jpg"))
        if isinstance(found, GroundTruth):
            objects.append(found)
        else:
            broken.append(QuarantinedRow(where="mask", item=f"region {region}", reason=found))
    return objects, broken


LAYOUT = Layout(manifest=read_manifest, ground_truth=read_ground_truth)


def _ground_truth(path: Path, region: str, image_id: str, size: object) -> GroundTruth | str:
    from scipy.io import loadmat  # scipy takes a second to import and only masks need it

    if (known := _size(size)) is None:
        return f"imsize has no width and height for {image_id}.jpg"
    if not path.is_file():
        return f"{path.name} is missing"
    width, height = known
    try:
        mask_HW = np.asarray(loadmat(path)[MASK_KEY]) == 0
    except KeyError:
        return f"{path.name} has no matrix {MASK_KEY}"
    except (OSError, ValueError, TypeError, NotImplementedError) as problem:
        return f"{path.name} can not be read ({problem})"
    if mask_HW.shape != (height, width):
        return f"{path.name} is {mask_HW.shape} (height, width), its image ({height}, {width})"
    segmentation = encode_ground_truth(mask_HW)
    problem_found = segmentation_problem(segmentation, height, width)
    if problem_found is not None:
        return f"{path.name}: {problem_found}"
    return GroundTruth(
        object_id=region, image_id=image_id, category="", segmentation=segmentation, height=height, width=width
    )


def _problem(image_id: str, text: object, sizes: dict[str, Any], splits: dict[str, str]) -> str | None:
    if not image_id:
        return "the region is not named <image>_<region>"
    if not isinstance(text, str):
        return "the region has no expression" if text is None else "the expression is no text"
    if image_id not in splits:
        return f"image {image_id} is in no image list, so in no split"
    if _size(sizes.get(f"{image_id}.jpg")) is None:
        return f"imsize has no width and height for {image_id}.jpg"
    return None


def _size(value: object) -> tuple[int, int] | None:
    match value:
        case [int(width), int(height)] if width > 0 and height > 0:
            return width, height
    return None


def _find(config: DatasetConfig, part: str) -> Path:
    plain = config.root / f"{config.name}_{part}.json"
    for path in (plain, plain.with_name(plain.name + ".gz")):
        if path.is_file():
            return path
    raise Refused(f"{plain} (or {plain.name}.gz) is missing; check root and name")


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    except (ValueError, OSError, EOFError, RecursionError) as problem:
        raise Refused(f"{path} is no readable JSON ({problem}); fetch it again") from problem
    if not isinstance(data, dict):
        raise Refused(f"{path} holds no JSON object; check that it is the ReferIt file")
    return data


def _splits(config: DatasetConfig) -> dict[str, str]:
    return {image_id: config.split_map.get(split, split) for split in SPLITS for image_id in _image_list(config, split)}


def _image_list(config: DatasetConfig, split: str) -> Iterator[str]:
    path = config.root / f"{config.name}_{split}_imlist.txt"
    if path.is_file():
        yield from path.read_text(encoding="utf-8").split()
