"""A user's own folder: images beside `expressions.jsonl` or `expressions.csv`.

Columns: image, expression, and optionally object_id (rows of one image that share it form one object), split (train by
default) and mask (an image that is not black where the object is). File names are relative to the folder, or to its
`images/`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np

from ops.refusal import Refused
from resources.datasets.ground_truth import encode_ground_truth
from resources.datasets.images import ImageProblem, inspect_image, load_mask, safe_path
from resources.datasets.reading import GroundTruths, Layout, Manifest
from resources.datasets.records import DatasetConfig, Expression, GroundTruth, QuarantinedRow

WANTED = ("image", "expression")
OPTIONAL = ("object_id", "split", "mask")
MANIFESTS = ("expressions.jsonl", "expressions.csv")


@dataclass(frozen=True)
class _Line:
    number: int
    cells: dict[str, str]
    problem: str | None = None


@dataclass(frozen=True)
class _Object:
    ref_id: int
    split: str
    mask: str
    line: int


def read_manifest(config: DatasetConfig) -> Manifest:
    """Read the expressions of a folder in file order.

    Raises:
        Refused: No manifest, none of its rows has the wanted columns, or it is no UTF-8 text.
    """
    path = _find(config)
    objects: dict[str, _Object] = {}
    rows: list[Expression] = []
    quarantined: list[QuarantinedRow] = []
    for line in _lines(path):
        row = line.problem or _expression(line, config, objects)
        if isinstance(row, Expression):
            rows.append(row)
        else:
            quarantined.append(_lost(path, line, row))
    return Manifest(
        files=(path,),
        image_folder=config.root,
        rows=tuple(rows),
        quarantined=tuple(quarantined),
        mask_files=tuple(
            config.root / name for name in dict.fromkeys(entry.mask for entry in objects.values()) if name
        ),
    )


def read_ground_truth(config: DatasetConfig) -> GroundTruths:
    """Read the masks of the objects that name one; without masks both lists are empty.

    Raises:
        Refused: As `read_manifest`.
    """
    path = _find(config)
    objects: dict[str, _Object] = {}
    images: dict[str, str] = {}
    for line in _lines(path):
        row = line.problem or _expression(line, config, objects)
        if isinstance(row, Expression):
            images.setdefault(row.object_id, row.image_file)
    truths: list[GroundTruth] = []
    broken: list[QuarantinedRow] = []
    for object_id, found in objects.items():
        if not found.mask:
            continue
        try:
            truths.append(_ground_truth(object_id, images[object_id], found.mask, config))
        except ImageProblem as problem:
            where = f"{path.name} line {found.line}"
            broken.append(QuarantinedRow(where=where, item=f"object {object_id}", reason=str(problem)))
    return truths, broken


LAYOUT = Layout(manifest=read_manifest, ground_truth=read_ground_truth)


def _expression(line: _Line, config: DatasetConfig, objects: dict[str, _Object]) -> Expression | str:
    cells = line.cells
    try:
        image_file = _resolve(config.root, cells["image"])
        mask = _resolve(config.root, cells["mask"]) if cells["mask"] else ""
    except ImageProblem as problem:
        return str(problem)
    split = cells["split"] or "train"
    split = config.split_map.get(split, split)
    own = f"{image_file}#{cells['object_id']}" if cells["object_id"] else f"{image_file}@{line.number}"
    known = objects.setdefault(own, _Object(len(objects), split, mask, line.number))
    if known.split != split:
        return f"object {cells['object_id']} is in split {known.split} on line {known.line} and in {split} here"
    if mask and mask != known.mask:
        return f"object {cells['object_id']} has the mask {known.mask or 'none'} on line {known.line} and {mask} here"
    return Expression(
        ref_id=known.ref_id,
        object_id=own,
        image_id=image_file,
        image_file=image_file,
        width=0,
        height=0,
        split=split,
        sent_id=line.number,
        expression=cells["expression"],
        raw=cells["expression"],
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
        if not path.is_file():
            raise Refused(f"{path} is missing; set manifest to the file with the expressions")
        return path
    found = [path for name in MANIFESTS if (path := config.root / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"{config.root} holds both {' and '.join(MANIFESTS)}; set manifest to the one to read")
    raise Refused(
        f"{config.root} holds neither {' nor '.join(MANIFESTS)}; write one with the columns {', '.join(WANTED)} "
        f"(optional: {', '.join(OPTIONAL)})"
    )


def _resolve(root: Path, name: str) -> str:
    """As the file lies: beside the manifest or in images/, its accents one letter or two, as they are on macOS."""
    spellings = dict.fromkeys((name, *(normalize(form, name) for form in ("NFC", "NFD"))))
    places = [place for spelling in spellings for place in (spelling, f"images/{spelling}")]
    try:
        return next((place for place in places if safe_path(root, place).is_file()), name)
    except OSError as problem:
        raise ImageProblem(f"the file name {name[:50]!r} can not be used ({problem.strerror})") from problem


def _lines(path: Path) -> Iterator[_Line]:
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Refused(f"{path.name} is UTF-16; save it as UTF-8")
    # bytes that are no UTF-8 become lone surrogates, so only their own row is quarantined
    text = data.decode("utf-8-sig", errors="surrogateescape")
    lines = list(_csv_lines(text, path) if path.suffix.lower() in (".csv", ".tsv") else _json_lines(text))
    if not lines:
        raise Refused(f"{path.name} holds no rows; it needs the columns {', '.join(WANTED)}")
    columns = dict.fromkeys(name for line in lines for name in line.cells)
    _demand_columns(path, tuple(columns), unreadable=all(line.problem for line in lines))
    return (_complete(line) for line in lines)


def _demand_columns(path: Path, found: tuple[str, ...], *, unreadable: bool = False) -> None:
    missing = [name for name in WANTED if name not in found]
    if missing and not unreadable:
        raise Refused(
            f"{path.name} has no column {' and '.join(missing)}; it has {', '.join(found) or 'none'}, "
            f"wanted are {', '.join(WANTED)} (optional: {', '.join(OPTIONAL)})"
        )


def _complete(line: _Line) -> _Line:
    cells = {name: line.cells.get(name, "").strip() for name in (*WANTED, *OPTIONAL)}
    if line.problem is not None:
        return _Line(line.number, cells, line.problem)
    if not all(_is_unicode(cell) for cell in cells.values()):
        return _Line(line.number, cells, "the row is no valid Unicode text; save the file as UTF-8")
    return _Line(line.number, cells, None if cells["image"] else "the row names no image")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _json_lines(text: str) -> Iterator[_Line]:
    for number, line in enumerate(re.split(r"\r\n?|\n", text), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as problem:
            yield _Line(number, {}, f"the line is no JSON ({problem})")
            continue
        if not isinstance(record, dict):
            yield _Line(number, {}, "the line is no JSON object")
            continue
        cells = {str(name).strip().lower(): value for name, value in record.items() if value is not None}
        odd = [name for name in (*WANTED, "split", "mask") if not isinstance(cells.get(name, ""), str)]
        problem_found = f"{' and '.join(odd)} is no text" if odd else None
        yield _Line(number, {name: str(value) for name, value in cells.items()}, problem_found)


def _csv_lines(text: str, path: Path) -> Iterator[_Line]:
    header = text.lstrip("\r\n").split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    names: list[str] | None = None
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            yield _Line(start, {}, f"the row can not be read ({problem})")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if names is None:
            names = [cell.strip().lower() for cell in cells]
            _demand_columns(path, tuple(names))
        elif reader.line_num > start:  # an open quote swallows lines: account for each of them
            problem_found = "a cell spans several lines; check the quotes"
            yield from (_Line(number, {}, problem_found) for number in range(start, reader.line_num + 1))
        elif len(cells) != len(names):
            yield _Line(start, {}, f"the row has {len(cells)} cells, the header {len(names)}; quote commas")
        else:
            yield _Line(start, dict(zip(names, cells, strict=True)))


def _lost(path: Path, line: _Line, reason: str) -> QuarantinedRow:
    item = line.cells["image"][:200].encode(errors="replace").decode()
    return QuarantinedRow(where=f"{path.name} line {line.number}", item=item, reason=reason)
