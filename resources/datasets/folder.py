"""A user's own folder: images beside a table of expressions, `expressions.jsonl` or `expressions.csv`.

Columns: image, expression, and optionally object_id (rows of one image that share it form one object), split (train by
default) and mask (an image that is not black where the object is; `painted_masks` has the rule). File names are
relative to the folder, or to its `images/`; see `file_names` for how they may be spelled, and `table_rows` for what an
id is and which cells are empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ops.refusal import Refused
from resources.datasets.file_names import FileNames
from resources.datasets.ground_truth import encode_ground_truth
from resources.datasets.images import ImageProblem, inspect_image, load_mask, safe_path
from resources.datasets.plain_tables import read_table
from resources.datasets.reading import GroundTruths, Layout, Manifest
from resources.datasets.records import DatasetConfig, Expression, GroundTruth, QuarantinedRow
from resources.datasets.table_rows import Columns, Row, shown
from resources.opening import shortened

COLUMNS = Columns(
    wanted=("image", "expression"), optional=("object_id", "split", "mask"), labels=frozenset({"object_id", "split"})
)
MANIFESTS = ("expressions.jsonl", "expressions.csv")
OTHER_MANIFESTS = ("expressions.json", "expressions.tsv", "expressions.txt")
"""Looked for where there is none of `MANIFESTS`."""


@dataclass(frozen=True)
class _Object:
    object_id: str
    ref_id: int
    split: str
    mask: str
    place: str
    """Where in the table it was named first."""


class _Reading:
    """The rows of a table one after the other, and the objects that they name so far."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        self.objects: dict[str, _Object] = {}
        self._config = config
        self._path = path
        self._names = FileNames(config.root)

    def rows(self) -> Iterator[tuple[Row, Expression | str]]:
        """Each row with what it says, or why it can not be used."""
        for row in read_table(self._path, COLUMNS):
            yield row, row.problem or self._expression(row)

    def _expression(self, row: Row) -> Expression | str:
        cells = row.cells
        if not cells["image"]:
            return "the row names no image"
        try:
            image_file = self._names.name_of(cells["image"])
            mask = self._names.name_of(cells["mask"]) if cells["mask"] else ""
        except ImageProblem as problem:
            return str(problem)
        split = cells["split"] or "train"
        split = self._config.split_map.get(split, split)
        own = f"{image_file}#{cells['object_id']}" if cells["object_id"] else f"{image_file}@{row.number}"
        known = self.objects.setdefault(own, _Object(own, len(self.objects), split, mask, row.place))
        if known.split != split:
            return _conflict(cells["object_id"], f"is in split {shown(known.split)}", known, f"in {shown(split)}")
        if mask and known.mask and mask != known.mask:
            return _conflict(cells["object_id"], f"has the mask {shown(known.mask)}", known, shown(mask))
        if mask and not known.mask:
            self.objects[own] = replace(known, mask=mask)
        return _expression_of(cells["expression"], image_file, row.number, known)


def read_manifest(config: DatasetConfig) -> Manifest:
    """Read the expressions of a folder in file order.

    Raises:
        Refused: no table, or it can not be read (see `read_table`).
    """
    path = _find(config)
    reading = _Reading(config, path)
    rows: list[Expression] = []
    quarantined: list[QuarantinedRow] = []
    for row, found in reading.rows():
        if isinstance(found, Expression):
            rows.append(found)
        else:
            quarantined.append(_lost(path, row, found))
    masks = dict.fromkeys(known.mask for known in reading.objects.values() if known.mask)
    return Manifest(
        files=(path,),
        image_folder=config.root,
        rows=tuple(rows),
        quarantined=tuple(quarantined),
        mask_files=tuple(config.root / name for name in masks),
    )


def read_ground_truth(config: DatasetConfig) -> GroundTruths:
    """Read the masks of the objects that name one; without masks both lists are empty.

    Raises:
        Refused: As `read_manifest`.
    """
    path = _find(config)
    reading = _Reading(config, path)
    images = {found.object_id: found.image_file for _, found in reading.rows() if isinstance(found, Expression)}
    truths: list[GroundTruth] = []
    broken: list[QuarantinedRow] = []
    for object_id, known in reading.objects.items():
        if not known.mask:
            continue
        try:
            truths.append(_ground_truth(object_id, images[object_id], known.mask, config))
        except ImageProblem as problem:
            where = f"{path.name} {known.place}"
            broken.append(QuarantinedRow(where=where, item=f"object {object_id}", reason=str(problem)))
    return truths, broken


LAYOUT = Layout(manifest=read_manifest, ground_truth=read_ground_truth)


def _conflict(object_id: str, what: str, known: _Object, here: str) -> str:
    return f"object {shown(object_id)} {what} on {known.place} and {here} here"


def _expression_of(text: str, image_file: str, number: int, known: _Object) -> Expression:
    return Expression(
        ref_id=known.ref_id,
        object_id=known.object_id,
        image_id=image_file,
        image_file=image_file,
        width=0,
        height=0,
        split=known.split,
        sent_id=number,
        expression=text,
        raw=text,
    )


def _ground_truth(object_id: str, image_file: str, mask: str, config: DatasetConfig) -> GroundTruth:
    header = inspect_image(safe_path(config.root, image_file), max_pixels=config.limits.max_pixels)
    size = (header.width, header.height)
    mask_HW = load_mask(safe_path(config.root, mask), expected_size=size, max_pixels=config.limits.max_pixels)
    if not mask_HW.any():
        raise ImageProblem(f"{mask} is black or clear everywhere; paint the object in any other colour")
    if mask_HW.all():
        raise ImageProblem(f"{mask} covers its whole image; leave what is not the object black or clear")
    return GroundTruth(
        object_id=object_id,
        image_id=image_file,
        category="",
        segmentation=encode_ground_truth(np.asarray(mask_HW)),
        height=header.height,
        width=header.width,
    )


def _find(config: DatasetConfig) -> Path:
    if config.manifest is not None:
        path = config.root / config.manifest
        if not os.path.exists(path):  # noqa: PTH110  Path.exists raises where a name is too long or may not be read
            raise Refused(f"{shortened(path)} is missing; set manifest to the file with the expressions")
        return path
    found = [path for name in MANIFESTS if os.path.lexists(path := config.root / name)]
    found = found or [path for name in OTHER_MANIFESTS if os.path.lexists(path := config.root / name)]
    if len(found) == 1:
        return found[0]
    if found:
        both = " and ".join(path.name for path in found)
        raise Refused(f"{config.root} holds both {both}; set manifest to the one to read")
    raise Refused(
        f"{config.root} holds neither {' nor '.join(MANIFESTS)}; write one with the columns "
        f"{', '.join(COLUMNS.wanted)} (optional: {', '.join(COLUMNS.optional)})"
    )


def _lost(path: Path, row: Row, reason: str) -> QuarantinedRow:
    return QuarantinedRow(where=f"{path.name} {row.place}", item=row.cells["image"], reason=reason)
