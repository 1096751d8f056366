"""The masks that a stage gives to referents or their expressions, as every format takes them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from assets.data.tables import ImageRow, Referent, images_in, referents_in
from assets.ssc.tables import CHOICES, TEACHER_CHOICES, read_choices
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
    """How sure the stage is of it, from 0 to 1: a choice's confidence, or a teacher's score; None: untold."""
    margin: float | None = None
    """By how much a choice is ahead of the next one, 100 cosine; None where nothing was compared."""

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
    sure = _certainty(masked, table)
    columns = [name for name in ("ref_id", "sent_id", *RLE) if name in masked.schema(table).names]
    for row in masked.table(table, columns=columns).to_pylist():
        referent = of_ref[row["ref_id"]] if "ref_id" in row else of_expression[row["sent_id"]]
        mask = None if row["rle"] is None else Rle(row["rle"], row["height"], row["width"])
        if mask is None or not mask.area:
            yield None
            continue
        score, margin = sure.get(referent.ref_id, (None, None))
        image, sent_id = images[referent.image_id], row.get("sent_id")
        yield Given(image=image, referent=referent, sent_id=sent_id, mask=mask, score=score, margin=margin)


def _certainty(masked: Artifact, table: str) -> dict[int, tuple[float | None, float | None]]:
    """Referent -> score and margin of its choice, where choices are exported; a teacher's choices have its score."""
    if TEACHER_CHOICES.name in masked.tables:
        return {row.ref_id: (row.score, None) for row in TEACHER_CHOICES.rows(masked)}
    if table != CHOICES.name or "scores" not in masked.schema(table).names:
        return {}
    return {row.ref_id: (row.confidence, row.margin) for row in read_choices(masked)}
