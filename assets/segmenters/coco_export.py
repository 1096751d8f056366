"""Masks leave the store: as COCO annotations that other tools read, and as pictures that people can mend by hand."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.data.tables import ImageRecord, Referent, images_of, referents_of
from storage.artifact import Artifact
from storage.files import write_bytes
from storage.masks import RLE_COLUMNS, annotation, area, decode

RLE = frozenset(field.name for field in RLE_COLUMNS)
COLUMNS = ("image", "expression", "object_id", "split", "mask")
"""Of `expressions.csv`: a user's own folder with drawn masks, see `resources.datasets.folder`."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    masks: int
    missing: int
    """Objects or sentences to which the stage gives no pixel."""


@dataclass(frozen=True, kw_only=True)
class _Given:
    """The mask of an object, or of one of its sentences."""

    image: ImageRecord
    one: Referent
    sent_id: int | None
    rle: bytes
    height: int
    width: int

    @property
    def said(self) -> dict[int, str]:
        """Number -> sentence, of those that the mask is for."""
        said = dict(zip(self.one.sent_ids, self.one.sentences, strict=True))
        return said if self.sent_id is None else {self.sent_id: said[self.sent_id]}

    @property
    def file(self) -> str:
        """Its picture."""
        return f"masks/{self.one.ref_id}{'' if self.sent_id is None else f'_{self.sent_id}'}.png"


def masks_table(artifact: Artifact) -> str | None:
    """The name of the table that gives masks to objects or sentences, if there is one."""
    columns = {table: set(artifact.schema(table).names) for table in artifact.tables}
    return next((table for table, has in columns.items() if has >= RLE and has & {"ref_id", "sent_id"}), None)


def export_masks(references: Artifact, masked: Artifact, table: str, folder: Path, *, png: bool) -> Exported:
    """Write `annotations.json`, and with `png` a picture of each mask below `masks/` and `expressions.csv`.

    The annotations are COCO's (run-length encoded, one category) with `ref_id`, `object_id`, `split`, `sent_ids` and
    `sentences` beside them. Laid beside the images of the data set, table and pictures are a folder that
    `wordmask add` reads as drawn masks.

    Args:
        references: what was said of which image.
        masked: what a stage made.
        table: its table of masks, see `masks_table`.
        folder: where to; files of an earlier export are written over.
        png: whether masks are drawn, too, at the image's size: 255 on the object, 0 elsewhere.

    Raises:
        StoreError: the disk refuses.
    """
    from ops.visualisation import png_bytes

    images = images_of(references)
    found = list(_given(references, images, masked, table))
    given = [one for one in found if one is not None]
    write_bytes(folder / "annotations.json", _coco(images, given))
    if png:
        for one in given:
            write_bytes(folder / one.file, png_bytes(decode(one.rle, one.height, one.width)))
        write_bytes(folder / "expressions.csv", _table(given))
    return Exported(masks=len(given), missing=len(found) - len(given))


def _given(
    references: Artifact, images: Mapping[str, ImageRecord], masked: Artifact, table: str
) -> Iterator[_Given | None]:
    """Row by row of the table of masks; None where there is no pixel."""
    objects = referents_of(references)
    of_ref = {one.ref_id: one for one in objects}
    of_sentence = {sent_id: one for one in objects for sent_id in one.sent_ids}
    columns = [name for name in ("ref_id", "sent_id", *RLE) if name in masked.schema(table).names]
    for row in masked.table(table, columns=columns).to_pylist():
        sent_id = row.get("sent_id")
        one = of_ref[row["ref_id"]] if "ref_id" in row else of_sentence[row["sent_id"]]
        rle = {name: row[name] for name in RLE}
        filled = row["rle"] is not None and area([row["rle"]], row["height"], row["width"])[0]
        yield _Given(image=images[one.image_id], one=one, sent_id=sent_id, **rle) if filled else None


def _coco(images: Mapping[str, ImageRecord], given: Iterable[_Given]) -> bytes:
    numbers = {image_id: number for number, image_id in enumerate(images, 1)}
    page = {
        "images": [
            {"id": numbers[one.image_id], "file_name": one.image_file, "width": one.width, "height": one.height}
            for one in images.values()
        ],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [
            {
                "id": number,
                "image_id": numbers[mask.image.image_id],
                "category_id": 1,
                "iscrowd": 0,
                **annotation(mask.rle, mask.height, mask.width),
                "ref_id": mask.one.ref_id,
                "object_id": mask.one.object_id,
                "split": mask.one.split,
                "sent_ids": list(mask.said),
                "sentences": list(mask.said.values()),
            }
            for number, mask in enumerate(given, 1)
        ],
    }
    return json.dumps(page, ensure_ascii=False).encode()


def _table(given: Sequence[_Given]) -> bytes:
    """A line for each sentence; where an object has several masks, each is an object of its own."""
    masks_of = Counter(mask.one.object_id for mask in given)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for mask in given:
        name = mask.one.object_id if masks_of[mask.one.object_id] == 1 else f"{mask.one.object_id}, {mask.file}"
        for sentence in mask.said.values():
            writer.writerow((mask.image.image_file, sentence, name, mask.one.split, mask.file))
    return text.getvalue().encode()
