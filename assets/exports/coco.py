"""COCO annotations, which most tools read, and pictures that people can correct by hand.

The annotations are run-length encoded, of one category, with `score` and `margin` where the stage has them, and with
`ref_id`, `object_id`, `split`, `sent_ids` and `sentences` beside them. Laid beside the images of the data set, table
and pictures are a folder that `wordmask add` reads as ground truth.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from assets.exports.given import CATEGORY, Export, File, Given
from ops.visualisation import png_bytes

COLUMNS = ("image", "expression", "object_id", "split", "mask", "confidence", "margin")
"""Of `expressions.csv`: a user's own folder with ground-truth masks, see `resources.datasets.folder`, which passes over
the last two."""
FORMULA_SIGNS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""A spreadsheet computes a cell that begins with one of them; the last four are as wide as a Chinese letter."""
LICENSE = {"id": 1, "name": "that of the images, see their data set", "url": ""}


def files(export: Export) -> Iterator[File]:
    """`annotations.json`."""
    yield File("/annotations.json", lambda: coco_page(export))


def drawn(export: Export) -> Iterator[File]:
    """A picture of every mask at the image's size, 255 on the object and 0 elsewhere, and `expressions.csv`."""
    for one in export.given:
        yield File(f"/{one.file}", partial(_png, one))
    rows = [COLUMNS, *_table(export.given)]
    yield File("/expressions.csv", lambda: csv_bytes(rows, guard_formulas=export.guard_formulas))


def coco_page(export: Export) -> bytes:
    """The page of JSON."""
    numbers = {image_id: number for number, image_id in enumerate(export.images, 1)}
    page = {
        "info": {"description": "Masks of referents, exported by wordmask", "version": "1.0", "url": ""},
        "licenses": [LICENSE],
        "images": [
            {
                "id": numbers[one.image_id],
                "file_name": one.image_file,
                "width": one.width,
                "height": one.height,
                "license": LICENSE["id"],
            }
            for one in export.images.values()
        ],
        "categories": [{"id": 1, "name": CATEGORY, "supercategory": CATEGORY}],
        "annotations": [
            {"id": number, "image_id": numbers[one.image.image_id], **_annotation(one)}
            for number, one in enumerate(export.given, 1)
        ],
    }
    return json.dumps(page, ensure_ascii=False).encode()


def _annotation(one: Given) -> dict[str, Any]:
    return {
        "category_id": 1,
        "iscrowd": 0,
        **one.mask.annotation(),
        **{name: value for name, value in (("score", one.score), ("margin", one.margin)) if value is not None},
        "ref_id": one.referent.ref_id,
        "object_id": one.referent.object_id,
        "split": one.referent.split,
        "sent_ids": list(one.expressions),
        "sentences": list(one.expressions.values()),
    }


def _png(one: Given) -> bytes:
    return png_bytes(one.mask.decode())


def csv_bytes(rows: Iterable[Sequence[str]], *, guard_formulas: bool = False) -> bytes:
    """Rows as CSV, which the reader of a user's own folder gives back cell by cell.

    Args:
        rows: cells, of any text.
        guard_formulas: whether cells that a spreadsheet would compute get an apostrophe before them, so that it shows
            them as text. They are no longer what they were.
    """
    lines = io.StringIO()
    csv.writer(lines).writerows([_guarded(cell) if guard_formulas else cell for cell in row] for row in rows)
    return lines.getvalue().encode()


def _guarded(cell: str) -> str:
    first = next((sign for sign in cell if sign.isprintable() and not sign.isspace()), "")  # spreadsheets drop the rest
    return f"'{cell}" if first in FORMULA_SIGNS else cell


def _table(given: Sequence[Given]) -> Iterator[Sequence[str]]:
    """A row for each sentence; where an object has several masks, each is an object of its own."""
    masks_of = Counter(mask.referent.object_id for mask in given)
    for mask in given:
        object_id = mask.referent.object_id
        name = object_id if masks_of[object_id] == 1 else f"{object_id}, {mask.file}"
        for text in mask.expressions.values():
            sure = ("" if known is None else str(known) for known in (mask.score, mask.margin))
            yield mask.image.image_file, text, name, mask.referent.split, mask.file, *sure
