"""Masks leave the store: as COCO annotations that other tools read, and as pictures that people can correct by hand."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.data.tables import ImageRow, Referent, images_in, referents_in
from ops.visualisation import png_bytes
from storage.artifact import Artifact
from storage.masks import RLE_COLUMNS, Rle
from storage.outputs import outputs

RLE = frozenset(field.name for field in RLE_COLUMNS)
COLUMNS = ("image", "expression", "object_id", "split", "mask")
"""Of `expressions.csv`: a user's own folder with ground-truth masks, see `resources.datasets.folder`."""
FORMULA_SIGNS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""A spreadsheet computes a cell that begins with one of them; the last four are as wide as a Chinese letter."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    masks: int
    missing: int
    """Objects or expressions to which the stage gives no pixel."""
    folder: Path
    """Where it lies."""


@dataclass(frozen=True, kw_only=True)
class _Given:
    """The mask of a referent, or of one of its expressions."""

    image: ImageRow
    referent: Referent
    sent_id: int | None
    mask: Rle

    @property
    def expressions(self) -> dict[int, str]:
        """Number -> expression, of those that the mask is for."""
        texts = dict(zip(self.referent.sent_ids, self.referent.expressions, strict=True))
        return texts if self.sent_id is None else {self.sent_id: texts[self.sent_id]}

    @property
    def file(self) -> str:
        """Its PNG."""
        return f"masks/{self.referent.ref_id}{'' if self.sent_id is None else f'_{self.sent_id}'}.png"


def masks_table(artifact: Artifact) -> str | None:
    """The name of the table that gives masks to objects or sentences, if there is one."""
    columns = {table: set(artifact.schema(table).names) for table in artifact.tables}
    return next((table for table, has in columns.items() if has >= RLE and has & {"ref_id", "sent_id"}), None)


def export_masks(
    references: Artifact,
    masked: Artifact,
    table: str,
    folder: Path,
    *,
    of: str,
    png: bool,
    guard_formulas: bool = False,
) -> Exported:
    """Write `annotations.json`, and with `png` a picture of each mask below `masks/` and `expressions.csv`.

    The annotations are COCO's (run-length encoded, one category) with `ref_id`, `object_id`, `split`, `sent_ids` and
    `sentences` beside them. Laid beside the images of the data set, table and pictures are a folder that
    `wordmask add` reads as ground truth.

    Args:
        references: what was said of which image.
        masked: what a stage made.
        table: its table of masks, see `masks_table`.
        folder: where to; files of an earlier export of the same are written over, and where something else lies, or
            a mask that a person corrected, a folder beside it is taken.
        of: digest of what is exported: data set, experiment, stage.
        png: whether masks are drawn, too, at the image's size: 255 on the object, 0 elsewhere.
        guard_formulas: whether `expressions.csv` is for a spreadsheet, see `csv_bytes`; it is then not for `add`.

    Raises:
        StoreError: the disk refuses.
    """
    images = images_in(references)
    found = list(_given(references, images, masked, table))
    given = [one for one in found if one is not None]
    drawn = [*(f"/{one.file}" for one in given), "/expressions.csv"] if png else []
    with outputs(folder.parent, folder.name, ["/annotations.json", *drawn], of=of) as files:
        files.write("/annotations.json", _coco(images, given))
        if png:
            for one in given:
                files.write(f"/{one.file}", png_bytes(one.mask.decode()))
            files.write("/expressions.csv", csv_bytes([COLUMNS, *_table(given)], guard_formulas=guard_formulas))
        return Exported(masks=len(given), missing=len(found) - len(given), folder=files.path(""))


def _given(
    references: Artifact, images: Mapping[str, ImageRow], masked: Artifact, table: str
) -> Iterator[_Given | None]:
    """Row by row of the table of masks; None where there is no pixel."""
    referents = referents_in(references)
    of_ref = {referent.ref_id: referent for referent in referents}
    of_expression = {sent_id: referent for referent in referents for sent_id in referent.sent_ids}
    columns = [name for name in ("ref_id", "sent_id", *RLE) if name in masked.schema(table).names]
    for row in masked.table(table, columns=columns).to_pylist():
        sent_id = row.get("sent_id")
        referent = of_ref[row["ref_id"]] if "ref_id" in row else of_expression[row["sent_id"]]
        image = images[referent.image_id]
        mask = None if row["rle"] is None else Rle(row["rle"], row["height"], row["width"])
        yield _Given(image=image, referent=referent, sent_id=sent_id, mask=mask) if mask and mask.area else None


def _coco(images: Mapping[str, ImageRow], given: Iterable[_Given]) -> bytes:
    numbers = {image_id: number for number, image_id in enumerate(images, 1)}
    page = {
        "info": {"description": "Masks of referents, exported by wordmask", "version": "1.0", "url": ""},
        "licenses": [],
        "images": [
            {"id": numbers[one.image_id], "file_name": one.image_file, "width": one.width, "height": one.height}
            for one in images.values()
        ],
        "categories": [{"id": 1, "name": "object", "supercategory": "object"}],
        "annotations": [
            {
                "id": number,
                "image_id": numbers[mask.image.image_id],
                "category_id": 1,
                "iscrowd": 0,
                **mask.mask.annotation(),
                "ref_id": mask.referent.ref_id,
                "object_id": mask.referent.object_id,
                "split": mask.referent.split,
                "sent_ids": list(mask.expressions),
                "sentences": list(mask.expressions.values()),
            }
            for number, mask in enumerate(given, 1)
        ],
    }
    return json.dumps(page, ensure_ascii=False).encode()


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


def _table(given: Sequence[_Given]) -> Iterator[Sequence[str]]:
    """A row for each sentence; where an object has several masks, each is an object of its own."""
    masks_of = Counter(mask.referent.object_id for mask in given)
    for mask in given:
        object_id = mask.referent.object_id
        name = object_id if masks_of[object_id] == 1 else f"{object_id}, {mask.file}"
        for text in mask.expressions.values():
            yield mask.image.image_file, text, name, mask.referent.split, mask.file
