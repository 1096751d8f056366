"""Regions, sizes and image lists of ReferIt, each read once; what can not be read says why."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from resources.datasets.plain_json import read_json_object
from resources.datasets.plain_values import RecordProblem, Several, described, whole_number
from resources.datasets.records import DatasetConfig, QuarantinedRow
from resources.datasets.table_rows import is_unicode, shown
from resources.opening import read_file

SPLITS = ("train", "val", "test")
IMAGE_SUFFIX = ".jpg"
LONGEST_REGION = 200
"""Characters; with its suffix it names a file."""
MOST_BYTES = 64 << 20
"""Of an image list."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """An object with all its expressions."""

    ref_id: int
    """Place in the file, from 0."""
    name: str
    """`<image>_<number>`."""
    expressions: tuple[object, ...]
    """As they are written; one that is nothing where there is none."""
    problem: str | None
    """Why none of them can be used, if so."""

    @property
    def image_id(self) -> str:
        """The image that it lies in."""
        return self.name.rpartition("_")[0]

    @property
    def is_plain(self) -> bool:
        """Whether its name can be that of a file in a folder."""
        return _name_problem(self.name, named=False) is None

    @property
    def image_file(self) -> str:
        """The file of that image."""
        return f"{self.image_id}{IMAGE_SUFFIX}"


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Which split each image belongs to."""

    files: tuple[Path, ...]
    of: Mapping[str, str]
    differing: Mapping[str, str]
    """Image -> the splits whose lists have it, where they are several."""
    unreadable: tuple[QuarantinedRow, ...]
    """Names in the lists that are no text."""

    def find(self, image_id: str) -> str:
        """The split of an image.

        Raises:
            RecordProblem: none has it, or several have.
        """
        if image_id in self.differing:
            raise RecordProblem(f"image {shown(image_id)} is in the lists of {self.differing[image_id]}")
        if image_id not in self.of:
            raise RecordProblem(f"image {shown(image_id)} is in no image list, so in no split")
        return self.of[image_id]


def read_regions(path: Path) -> list[Region]:
    """All regions in file order.

    Raises:
        Refused: it is no JSON object of regions.
    """
    return [_region(ref_id, name, value) for ref_id, (name, value) in enumerate(read_json_object(path).items())]


def read_splits(config: DatasetConfig) -> Splits:
    """What the image lists that are there say; without any, `files` is empty.

    Raises:
        Refused: a list is no regular file.
    """
    of: dict[str, str] = {}
    differing: dict[str, str] = {}
    unreadable: list[QuarantinedRow] = []
    files = {name: config.root / f"{config.name}_{name}_imlist.txt" for name in SPLITS}
    there = {name: path for name, path in files.items() if os.path.lexists(path)}
    for name, path in there.items():
        split = config.split_map.get(name, name)
        for image_id in _image_list(path):
            if not is_unicode(image_id):
                reason = "the name is no valid Unicode text; save the list as UTF-8"
                unreadable.append(QuarantinedRow(where=path.name, item=f"image {shown(image_id)}", reason=reason))
            elif of.setdefault(image_id, split) != split:
                differing[image_id] = f"{differing.get(image_id, of[image_id])} and {split}"
    return Splits(files=tuple(there.values()), of=of, differing=differing, unreadable=tuple(unreadable))


def size_of(image_file: str, sizes: Mapping[str, object], *, max_pixels: int) -> tuple[int, int]:
    """(width, height) in pixels.

    Raises:
        RecordProblem: they are not known, or beyond `max_pixels` together.
    """
    match sizes.get(image_file):
        case [width, height]:
            known = whole_number(width), whole_number(height)
        case Several() as several:
            raise RecordProblem(f"imsize has {shown(image_file)} {described(several).removeprefix('given ')}")
        case _:
            known = None, None
    width, height = known
    if width is None or height is None or width < 1 or height < 1:
        raise RecordProblem(f"imsize has no width and height for {shown(image_file)}")
    if width * height > max_pixels:
        raise RecordProblem(f"{shown(image_file)} has {width:,} x {height:,} pixels, more than {max_pixels:,}")
    return width, height


def _region(ref_id: int, name: str, value: object) -> Region:
    lists = value.values if isinstance(value, Several) else (value,)
    expressions = [text for texts in lists for text in _texts(texts)]
    problem = _name_problem(name) or (_list_problem(value) if not isinstance(value, (list, str)) else None)
    return Region(ref_id=ref_id, name=name, expressions=tuple(expressions), problem=problem)


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) and value else [value if isinstance(value, str) else None]


def _list_problem(value: object) -> str:
    if isinstance(value, Several):
        return "the region is listed more than once, with different expressions"
    return f"the region has no list of expressions but {described(value)}"


def _name_problem(name: str, *, named: bool = True) -> str | None:
    if not is_unicode(name):
        return "the name of the region is no valid Unicode text; save the file as UTF-8"
    if len(name) > LONGEST_REGION:
        return f"the name of the region has {len(name):,} characters, more than {LONGEST_REGION}"
    if named and not name.rpartition("_")[0]:
        return "the region is not named <image>_<region>"
    if not name.isprintable() or "/" in name or "\\" in name or name.startswith("."):
        return f"the region '{shown(name)}' can not be the name of a file"
    return None


def _image_list(path: Path) -> Iterator[str]:
    """Names without their suffix."""
    data = read_file(path, at_most=MOST_BYTES)
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16", "replace") if utf_16 else data.decode("utf-8-sig", "surrogateescape")
    return (name.removesuffix(IMAGE_SUFFIX) for name in text.split())
