"""Images, annotations and categories of a COCO file, each read once into typed records.

Nothing else of the file is needed. Where an id stands for different records none of them is meant, and what refers to
it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from ops.refusal import Refused
from resources.datasets.plain_json import read_json_object
from resources.datasets.plain_values import RecordProblem, Several, described, number_of, require_fields, text_of
from resources.datasets.table_rows import shown

Fields = Mapping[object, object]


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image as the file describes it."""

    file_name: str
    width: int
    """Pixels."""
    height: int
    """Pixels."""


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """An object in an image."""

    image_id: int
    category_id: int | None
    """None where the file names none."""
    category_problem: str | None
    segmentation: Any
    """As it is written: polygons, run lengths, or anything else."""


R = TypeVar("R")


@dataclass(frozen=True)
class Section(Generic[R]):
    """The records of one kind by their ids."""

    kind: str
    """What a record is called, e.g. `image`."""
    file: str
    records: Mapping[int, R | RecordProblem]
    nameless: Sequence[tuple[int, str]]
    """(Place in the list, why) of records without a usable id."""

    def find(self, number: int) -> R:
        """The record of an id.

        Raises:
            RecordProblem: there is none, or it can not be used.
        """
        found = self.records.get(number)
        if found is None:
            beside = f" ({len(self.nameless)} there without a usable id)" if self.nameless else ""
            raise RecordProblem(f"its {self.kind} {number} is not in {self.file}{beside}")
        if isinstance(found, RecordProblem):
            raise RecordProblem(f"its {self.kind} {number} can not be used: {found}")
        return found


@dataclass(frozen=True)
class Instances:
    """What a COCO file says."""

    images: Section[CocoImage]
    annotations: Section[CocoAnnotation]
    categories: Section[str]
    """Names."""

    def category_of(self, annotation: CocoAnnotation) -> str:
        """The name of a category, empty where the file names none.

        Raises:
            RecordProblem: which one is meant is not clear.
        """
        if annotation.category_problem is not None:
            raise RecordProblem(annotation.category_problem)
        number = annotation.category_id
        return self.categories.find(number) if number is not None and number in self.categories.records else ""

    def left_over(self, wanted: Container[int]) -> Iterator[tuple[str, str]]:
        """(Record, why) of what can not be used and is referred to by no id in `wanted`, so that nothing is silent."""
        for section, name in (
            (self.images, "images"),
            (self.annotations, "annotations"),
            (self.categories, "categories"),
        ):
            yield from ((f"{name}[{place}]", reason) for place, reason in section.nameless)
        for number, annotation in self.annotations.records.items():
            if number not in wanted:
                problem = self._problem(annotation)
                if problem is not None:
                    yield f"annotation {number}", problem

    def _problem(self, annotation: CocoAnnotation | RecordProblem) -> str | None:
        if isinstance(annotation, RecordProblem):
            return str(annotation)
        listed = annotation.image_id in self.images.records
        return None if listed else f"its image {annotation.image_id} is not in {self.images.file}"


def read_instances(path: Path, *, max_pixels: int) -> Instances:
    """Read a COCO file; images beyond `max_pixels` (width times height) can not be used.

    Raises:
        Refused: it is no JSON object, or has no list of images or annotations.
    """
    content = read_json_object(path)

    def section(kind: str, records: list[object], read: Callable[[Fields], R]) -> Section[R]:
        return _section(kind, path.name, records, read)

    return Instances(
        images=section("image", _list(content, "images", path.name), lambda fields: _image(fields, max_pixels)),
        annotations=section("annotation", _list(content, "annotations", path.name), _annotation),
        categories=section("category", _list(content, "categories", path.name, optional=True), _category),
    )


def _list(content: Mapping[str, object], name: str, file: str, *, optional: bool = False) -> list[object]:
    records = content.get(name)
    if records is None and optional:
        return []
    if records is None:
        has = ", ".join(map(shown, islice(content, 10))) or "nothing"
        raise Refused(f"{file} has no {name}, it has {has}; check that it is COCO's form")
    if not isinstance(records, list):
        raise Refused(f"{name} in {file} is {described(records)} and no list; check that it is COCO's form")
    return records


def _section(kind: str, file: str, records: list[object], read: Callable[[Fields], R]) -> Section[R]:
    found: dict[int, R | RecordProblem] = {}
    nameless: list[tuple[int, str]] = []
    for place, record in enumerate(records):
        try:
            fields = require_fields(record, ("id",))
            number = number_of(fields, "id")
        except RecordProblem as problem:
            nameless.append((place, str(problem)))
            continue
        new = _read_or_problem(read, fields)
        if number in found and not _same(found[number], new):
            new = RecordProblem(f"{file} has several of that id, which differ; number them anew")
        found[number] = new
    return Section(kind, file, found, nameless)


def _read_or_problem(read: Callable[[Fields], R], fields: Fields) -> R | RecordProblem:
    try:
        return read(fields)
    except RecordProblem as problem:
        return problem


def _same(one: object, other: object) -> bool:
    try:
        return one == other or (isinstance(one, RecordProblem) and str(one) == str(other))
    except RecursionError:
        return False


def _image(fields: Fields, max_pixels: int) -> CocoImage:
    require_fields(fields, ("file_name", "width", "height"))
    name, width, height = text_of(fields, "file_name"), number_of(fields, "width"), number_of(fields, "height")
    if width < 1 or height < 1:
        raise RecordProblem(f"it has {width} x {height} pixels")
    if width * height > max_pixels:
        raise RecordProblem(f"it has {width:,} x {height:,} pixels, more than {max_pixels:,}")
    return CocoImage(name, width, height)


def _annotation(fields: Fields) -> CocoAnnotation:
    category_id, problem = None, None
    try:
        category_id = number_of(fields, "category_id") if fields.get("category_id") is not None else None
    except RecordProblem as found:
        problem = str(found)
    segmentation = fields.get("segmentation")
    if isinstance(segmentation, Several):
        raise RecordProblem(f"segmentation is {described(segmentation)}")
    return CocoAnnotation(number_of(fields, "image_id"), category_id, problem, segmentation)


def _category(fields: Fields) -> str:
    return text_of(fields, "name")
