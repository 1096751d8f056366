"""A teacher's files: COCO's JSON, a list or lines of records, or a folder of painted masks beside a table.

A record says which image (`image` or `file_name`, else `image_id`), for choices what was said (`sent_id`, `sent_ids`,
`ref_id`, else `expression`), the `segmentation` (COCO run lengths or polygons), and maybe `score` and `label` or
`category_id`. A row of a table says the same with `file`, a painted mask, in the place of the segmentation.
`docs/teachers.md` tells all of it with examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.images import load_mask, safe_path
from resources.datasets.plain_json import Unreadable, read_json, read_json_lines
from resources.datasets.plain_tables import read_table
from resources.datasets.plain_values import RecordProblem, described, number_of, require_fields, text_of, whole_number
from resources.datasets.table_rows import Columns, Row, shown
from resources.teachers.records import LONGEST_LABEL, MOST_ROWS, GivenMask, Unusable
from storage.masks import Rle, rasterise

TABLES = ("masks.csv", "masks.jsonl", "masks.json")
"""What the table of a folder may be called."""
COLUMNS = Columns(
    wanted=("image", "file"),
    optional=("expression", "sent_id", "ref_id", "label", "score"),
    labels=frozenset({"image", "sent_id", "ref_id", "label", "score"}),
)
LINES = (".jsonl", ".ndjson")
LONGEST_EXPRESSION = 4_000
Fields = Mapping[object, object]
Read = GivenMask | Unusable


def read_masks(path: Path) -> Iterator[Read]:
    """Every mask that a file or folder of a teacher names, in its order; what no row can be made of, with its reason.

    Raises:
        Refused: the whole file is missing, of another kind, too long, or in no form that is read; says which are.
    """
    rows = _folder_rows(path) if path.is_dir() else _file_rows(path)
    for number, row in enumerate(rows, 1):
        if number > MOST_ROWS:
            raise Refused(f"{path.name} has more than {MOST_ROWS:,} masks; import it in parts, under several names")
        yield row


def _file_rows(path: Path) -> Iterator[Read]:
    if path.suffix.lower() in LINES:
        return _records(((f"line {number}", record) for number, record in read_json_lines(path)), _Names())
    content = read_json(path)
    if isinstance(content, list):
        return _records(((f"record {number}", record) for number, record in enumerate(content, 1)), _Names())
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(annotations, list):
        raise Refused(
            f"{path.name} has no list of masks: wanted is COCO's form, an object with `annotations`, or a list of "
            "records, or a record a line (.jsonl), or a folder with masks.csv; see docs/teachers.md"
        )
    numbered = ((f"annotation {number}", record) for number, record in enumerate(annotations, 1))
    return _records(numbered, _Names.of(content))


@dataclass(frozen=True)
class _Names:
    """What ids stand for in a COCO file."""

    images: Mapping[int, str] | None = None
    """Id -> file name; None where the file lists no images, and an id is the data set's own."""
    categories: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Fields) -> _Names:
        """The lists of images and categories; a list of one category for everything names no class."""
        categories = _named(content.get("categories"), "name")
        listed = _named(content.get("images"), "file_name")
        return cls(listed if content.get("images") else None, categories if len(categories) > 1 else {})


def _named(records: object, name: str) -> dict[int, str]:
    """Id -> name; records without both, or of an id that stands for several, name nothing."""
    found: dict[int, str] = {}
    several: set[int] = set()
    for record in records if isinstance(records, list) else ():
        try:
            fields = require_fields(record, ("id", name))
            number, text = number_of(fields, "id"), text_of(fields, name)
        except RecordProblem:
            continue
        if found.setdefault(number, text) != text:
            several.add(number)
    return {number: text for number, text in found.items() if number not in several}


def _records(records: Iterable[tuple[str, object]], names: _Names) -> Iterator[Read]:
    for place, record in records:
        if isinstance(record, Unreadable):
            yield Unusable(place=place, item="", reason=record.reason)
            continue
        try:
            yield _given(place, require_fields(record, ("segmentation",)), names)
        except Refused as problem:
            yield Unusable(place=place, item=_item(record), reason=str(problem))


def _given(place: str, fields: Fields, names: _Names) -> GivenMask:
    score = fields.get("score")
    if score is not None and type(score) not in (int, float):
        raise RecordProblem(f"score is {described(score)}, no number")
    return GivenMask(
        place=place,
        image=_image_of(fields, names),
        draw=partial(_rasterised, fields["segmentation"]),
        expression=_optional_text(fields, "expression", longest=LONGEST_EXPRESSION),
        sent_ids=_sentences_of(fields),
        ref_id=number_of(fields, "ref_id") if fields.get("ref_id") is not None else None,
        label=_label_of(fields, names),
        score=None if score is None else float(score),  # type: ignore[arg-type]  # looked at above
    )


def _rasterised(segmentation: object, height: int, width: int) -> Rle:
    return Rle.of(rasterise(segmentation, height, width))


def _image_of(fields: Fields, names: _Names) -> str:
    """The file name, or the data set's own id as a text."""
    for name in ("image", "file_name"):
        if fields.get(name) is not None:
            number = whole_number(fields[name]) if not isinstance(fields[name], str) else None
            return text_of(fields, name) if number is None else str(number)
    written = fields.get("image_id")
    if written is None:
        raise RecordProblem("it names no image: neither image nor file_name nor image_id is there")
    number = whole_number(written)
    if names.images is None:
        return text_of(fields, "image_id") if number is None else str(number)
    if number is None or number not in names.images:
        raise RecordProblem(f"its image_id is {described(written)}, which `images` of the file does not name")
    return names.images[number]


def _sentences_of(fields: Fields) -> tuple[int, ...]:
    if fields.get("sent_id") is not None:
        return (number_of(fields, "sent_id"),)
    several = fields.get("sent_ids")
    if several is None:
        return ()
    numbers = [whole_number(one) for one in several] if isinstance(several, list) else [None]
    if not numbers or None in numbers:
        raise RecordProblem(f"sent_ids is {described(several)}, no list of whole numbers")
    return tuple(number for number in numbers if number is not None)


def _label_of(fields: Fields, names: _Names) -> str:
    if fields.get("label") is not None or fields.get("category_id") is None:
        return _optional_text(fields, "label", longest=LONGEST_LABEL)
    return names.categories.get(number_of(fields, "category_id"), "")


def _optional_text(fields: Fields, name: str, *, longest: int) -> str:
    return "" if fields.get(name) is None else text_of(fields, name, longest=longest).strip()


def _item(record: object) -> str:
    """What a person recognises a record by."""
    fields = record if isinstance(record, dict) else {}
    said = [fields.get(name) for name in ("image", "file_name", "image_id", "expression", "sent_id", "ref_id")]
    return ", ".join(shown(str(one)) for one in said if isinstance(one, str | int))


def _folder_rows(folder: Path) -> Iterator[Read]:
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(tables) != 1:
        found = " and ".join(path.name for path in tables) or "none"
        raise Refused(f"{folder} is to hold one table, {' or '.join(TABLES)}, beside its masks; it holds {found}")
    return (_row(folder, row) for row in list(read_table(tables[0], COLUMNS)))


def _row(folder: Path, row: Row) -> Read:
    cells: dict[object, object] = dict(row.cells.items())
    item = ", ".join(shown(row.cells[name]) for name in ("image", "expression") if cells[name])
    try:
        if row.problem or not (cells["image"] and cells["file"]):
            raise RecordProblem(row.problem or "the row names no image or no file")
        sent_id, ref_id = _number(cells, "sent_id"), _number(cells, "ref_id")
        return GivenMask(
            place=row.place,
            image=text_of(cells, "image"),
            draw=partial(_painted, safe_path(folder, text_of(cells, "file"))),
            expression=text_of(cells, "expression", longest=LONGEST_EXPRESSION),
            sent_ids=() if sent_id is None else (sent_id,),
            ref_id=ref_id,
            label=text_of(cells, "label", longest=LONGEST_LABEL),
            score=_float(row.cells["score"]),
        )
    except Refused as problem:
        return Unusable(place=row.place, item=item, reason=str(problem))


def _painted(path: Path, height: int, width: int) -> Rle:
    return Rle.of(load_mask(path, expected_size=(width, height)))


def _number(cells: Fields, name: str) -> int | None:
    return number_of(cells, name) if cells[name] else None


def _float(cell: str) -> float | None:
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError as problem:
        raise RecordProblem(f"score is the text '{shown(cell)}', no number") from problem
