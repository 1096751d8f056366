"""The masks that a stage gives to referents or their expressions, as every format takes them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assets.data.tables import ImageRow, Referent, images_in, referents_in
from assets.ssc.tables import TEACHER_CHOICES
from storage.artifact import Artifact
from storage.masks import RLE_COLUMNS, Rle

RLE = frozenset(field.name for field in RLE_COLUMNS)
CATEGORY = "object"
"""Of every mask: what it shows is said by its expressions."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """The mask of a referent, or of one of its expressions."""

    image: ImageRow
    referent: Referent
    sent_id: int | None
    mask: Rle
    score: float | None = None
    """How sure the stage is of it, from 0 to 1; None where it says nothing of that."""

    @property
    def expressions(self) -> dict[int, str]:
        """Number -> expression, of those that the mask is for."""
        texts = dict(zip(self.referent.sent_ids, self.referent.expressions, strict=True))
        return texts if self.sent_id is None else {self.sent_id: texts[self.sent_id]}

    @property
    def file(self) -> str:
        """Its PNG."""
        return f"masks/{self.referent.ref_id}{'' if self.sent_id is None else f'_{self.sent_id}'}.png"


@dataclass(frozen=True)
class File:
    """A file of an export: where it lies below the stage's folder, and what makes its bytes when it is its turn."""

    ending: str
    content: Callable[[], bytes]


@dataclass(frozen=True, kw_only=True)
class Export:
    """What is exported, whatever the format."""

    stage: str
    images: Mapping[str, ImageRow]
    given: Sequence[Given]
    read: Callable[[ImageRow], bytes]
    """The bytes of an image's file, as the stages saw it."""
    with_images: bool = False
    """Whether the images go with the masks, in formats that may do without."""
    guard_formulas: bool = False
    """Whether tables are for a spreadsheet, see `assets.exports.coco.csv_bytes`."""


def masks_table(artifact: Artifact) -> str | None:
    """The name of the table that gives masks to objects or sentences, if there is one."""
    columns = {table: set(artifact.schema(table).names) for table in artifact.tables}
    return next((table for table, has in columns.items() if has >= RLE and has & {"ref_id", "sent_id"}), None)


def given_masks(references: Artifact, masked: Artifact, table: str) -> Iterator[Given | None]:
    """Row by row of a stage's table of masks; None where there is no pixel."""
    images, referents = images_in(references), referents_in(references)
    of_ref = {referent.ref_id: referent for referent in referents}
    of_expression = {sent_id: referent for referent in referents for sent_id in referent.sent_ids}
    scores = _scores(masked)
    has = masked.schema(table).names
    columns = [name for name in ("ref_id", "sent_id", "confidence", *RLE) if name in has]
    for row in masked.table(table, columns=columns).to_pylist():
        referent = of_ref[row["ref_id"]] if "ref_id" in row else of_expression[row["sent_id"]]
        mask = None if row["rle"] is None else Rle(row["rle"], row["height"], row["width"])
        score = _known(row.get("confidence", scores.get(referent.ref_id)))
        image, sent_id = images[referent.image_id], row.get("sent_id")
        if mask is None or not mask.area:
            yield None
        else:
            yield Given(image=image, referent=referent, sent_id=sent_id, mask=mask, score=score)


def _scores(masked: Artifact) -> dict[int, float | None]:
    """Referent -> how sure a teacher was, where one chose."""
    if TEACHER_CHOICES.name not in masked.tables:
        return {}
    return {row.ref_id: row.score for row in TEACHER_CHOICES.read(masked)}


def _known(score: Any) -> float | None:
    return None if score is None or math.isnan(score) else float(score)
