"""ReferIt (ReferItGame on SAIAPR TC-12, also RefCLEF) as text_objseg lays it out.

`<root>/<name>_query_all.json`, `_imcrop.json`, `_imsize.json` (each may end in `.gz`), `_<split>_imlist.txt`, images in
`<root>/images/<image>.jpg`, and optionally masks in `<root>/mask/<image>_<region>.mat`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.ground_truth import encode_ground_truth, segmentation_problem
from resources.datasets.mat_matrix import MatrixProblem, read_matrix
from resources.datasets.plain_json import read_json_object
from resources.datasets.plain_values import RecordProblem, described
from resources.datasets.reading import GroundTruths, Layout, Manifest
from resources.datasets.records import DatasetConfig, Expression, GroundTruth, QuarantinedRow
from resources.datasets.referit_records import Region, Splits, read_regions, read_splits, size_of
from resources.datasets.table_rows import shown
from resources.opening import read_file

MASK_KEY = "segimg_t"
"""Matrix in a mask file; the region is where it is 0."""
MOST_BYTES = 512 << 20
"""Of a mask file."""


def read_manifest(config: DatasetConfig) -> Manifest:
    """Read all expressions of all regions in file order; each region is one object.

    Raises:
        Refused: A file is missing or malformed.
    """
    query_path, size_path = _find(config, "query_all"), _find(config, "imsize")
    splits = read_splits(config)
    if not splits.files:
        raise Refused(f"{config.name}_train_imlist.txt is missing; the image lists define the splits")
    regions, sizes = read_regions(query_path), read_json_object(size_path)
    rows: list[Expression] = []
    quarantined = [*splits.unreadable]
    texts = [(region, text) for region in regions for text in region.expressions]
    for sent_id, (region, text) in enumerate(texts, start=1):
        try:
            width, height = _require_place(region, text, sizes, splits, max_pixels=config.limits.max_pixels)
            rows.append(_expression(region, str(text), sent_id, splits.of[region.image_id], width, height))
        except RecordProblem as problem:
            quarantined.append(_lost(region, sent_id, query_path.name, str(problem), splits))
    masks = config.root / "mask"
    return Manifest(
        files=(query_path, size_path, *splits.files),
        image_folder=config.root / "images",
        rows=tuple(rows),
        quarantined=tuple(quarantined),
        mask_files=tuple(_mask_path(masks, region) for region in regions if region.is_plain) if masks.is_dir() else (),
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
    sizes = read_json_object(_find(config, "imsize"))
    for region in read_regions(_find(config, "query_all")):
        try:
            size = size_of(region.image_file, sizes, max_pixels=config.limits.max_pixels)
            objects.append(_ground_truth(_mask_path(folder, region), region, size))
        except Refused as problem:
            broken.append(QuarantinedRow(where="mask", item=f"region {shown(region.name)}", reason=str(problem)))
    return objects, broken


LAYOUT = Layout(manifest=read_manifest, ground_truth=read_ground_truth)


def _require_place(
    region: Region, text: object, sizes: Mapping[str, object], splits: Splits, *, max_pixels: int
) -> tuple[int, int]:
    """The size of the image, if the expression can be used."""
    if region.problem is not None:
        raise RecordProblem(region.problem)
    if not isinstance(text, str):
        none = "the region has no expression"
        raise RecordProblem(none if text is None else f"the expression is no text but {described(text)}")
    splits.find(region.image_id)
    return size_of(region.image_file, sizes, max_pixels=max_pixels)


def _expression(region: Region, text: str, sent_id: int, split: str, width: int, height: int) -> Expression:
    return Expression(
        ref_id=region.ref_id,
        object_id=region.name,
        image_id=region.image_id,
        image_file=region.image_file,
        width=width,
        height=height,
        split=split,
        sent_id=sent_id,
        expression=text,
        raw=text,
    )


def _lost(region: Region, sent_id: int, where: str, reason: str, splits: Splits) -> QuarantinedRow:
    item = f"region {shown(region.name)}, sentence {sent_id}"
    split = splits.of.get(region.image_id, "")
    return QuarantinedRow(where=where, item=item, reason=reason, ref_id=region.ref_id, split=split)


def _mask_path(folder: Path, region: Region) -> Path:
    if not region.is_plain:
        raise RecordProblem(f"the region '{shown(region.name)}' can not be the name of a file")
    return folder / f"{region.name}.mat"


def _ground_truth(path: Path, region: Region, size: tuple[int, int]) -> GroundTruth:
    width, height = size
    data = read_file(path, at_most=MOST_BYTES)
    try:
        mask_HW = read_matrix(data, MASK_KEY, shape=(height, width)) == 0
    except MatrixProblem as problem:
        raise RecordProblem(f"{path.name} {problem}") from problem
    segmentation = encode_ground_truth(mask_HW)
    if problem_found := segmentation_problem(segmentation, height, width):
        raise RecordProblem(f"{path.name}: {problem_found}")
    return GroundTruth(
        object_id=region.name,
        image_id=region.image_id,
        category="",
        segmentation=segmentation,
        height=height,
        width=width,
    )


def _find(config: DatasetConfig, part: str) -> Path:
    plain = config.root / f"{config.name}_{part}.json"
    for path in (plain, plain.with_name(plain.name + ".gz")):
        if os.path.lexists(path):
            return path
    raise Refused(f"{plain.name} (or {plain.name}.gz) is missing; check root and name")
