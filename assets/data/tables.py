"""Rows of the tables of a data set, and the view that most stages take of them: referents with their expressions."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Annotated

import pyarrow as pa

from assets.data.stages import REFERENCES
from assets.framework.tables import Column, Height, RleBytes, Table, Width, WithMask
from assets.framework.work import Work
from storage.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class SplitRow:
    """What lies in a split."""

    split: Annotated[str, Column(pa.string(), "name of the split")]
    images: Annotated[int, Column(pa.int64(), "different images")]
    objects: Annotated[int, Column(pa.int64(), "referents (RefCOCO's refs)")]
    expressions: Annotated[int, Column(pa.int64(), "expressions")]


@dataclass(frozen=True, kw_only=True)
class ExpressionRow:
    """One (image, expression) pair."""

    sent_id: Annotated[int, Column(pa.int64(), "number of the expression")]
    ref_id: Annotated[int, Column(pa.int64(), "number of the referent; its expressions share it")]
    object_id: Annotated[str, Column(pa.string(), "identity of the object, as the data set names it")]
    image_id: Annotated[str, Column(pa.string(), "identity of the image")]
    split: Annotated[str, Column(pa.string(), "split that the referent belongs to")]
    expression: Annotated[str, Column(pa.string(), "cleaned expression")]
    raw: Annotated[str, Column(pa.string(), "expression as typed")]


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """One image of the data set."""

    image_id: Annotated[str, Column(pa.string(), "identity of the image")]
    image_file: Annotated[str, Column(pa.string(), "path below the image folder")]
    width: Annotated[int, Column(pa.int32(), "pixels, after EXIF orientation")]
    height: Annotated[int, Column(pa.int32(), "pixels, after EXIF orientation")]
    sha256: Annotated[str, Column(pa.string(), "hash of the file")]


@dataclass(frozen=True, kw_only=True)
class QuarantineRow:
    """Something of the raw data that cannot be used."""

    where: Annotated[str, Column(pa.string(), "file, and line where there is one")]
    item: Annotated[str, Column(pa.string(), "what was left out")]
    reason: Annotated[str, Column(pa.string(), "why, and what to do")]
    ref_id: Annotated[int | None, Column(pa.int64(), "referent it belonged to, if known")]
    split: Annotated[str, Column(pa.string(), "split it belonged to, if known")]


@dataclass(frozen=True, kw_only=True)
class GroundTruthRow(WithMask):
    """An annotated object."""

    object_id: Annotated[str, Column(pa.string(), "identity of the object")]
    image_id: Annotated[str, Column(pa.string(), "identity of the image")]
    category: Annotated[str, Column(pa.string(), "category name, empty where the set has none")]
    rle: RleBytes
    height: Height
    width: Width


SPLITS = Table("splits", SplitRow)
EXPRESSIONS = Table("expressions", ExpressionRow)
IMAGES = Table("images", ImageRow)
QUARANTINE = Table("quarantine", QuarantineRow)
OBJECTS = Table("objects", GroundTruthRow)


@dataclass(frozen=True, kw_only=True)
class Referent:
    """An object that expressions refer to (RefCOCO's ref), with all its expressions."""

    ref_id: int
    object_id: str
    image_id: str
    split: str
    sent_ids: list[int] = field(default_factory=list)
    expressions: list[str] = field(default_factory=list)


def images_of(work: Work) -> dict[str, ImageRow]:
    """Image id -> image, in the order of the data set."""
    return images_in(work.input(REFERENCES))


def images_in(references: Artifact) -> dict[str, ImageRow]:
    """As `images_of`, of an artifact of `references`."""
    return {image.image_id: image for image in IMAGES.rows(references)}


def referents_of(work: Work, *, splits: Iterable[str] | None = None) -> list[Referent]:
    """Referents in the order of the data set; only those of the given splits, if any are given."""
    return referents_in(work.input(REFERENCES), splits=splits)


def scored_referents(work: Work) -> list[Referent]:
    """Referents of the splits that are scored."""
    return referents_of(work, splits=work.instance.source.evaluate)


def training_referents(work: Work) -> list[Referent]:
    """Referents of the splits that train."""
    return referents_of(work, splits=work.instance.source.train)


def referents_in(references: Artifact, *, splits: Iterable[str] | None = None) -> list[Referent]:
    """As `referents_of`, of an artifact of `references`."""
    wanted = None if splits is None else set(splits)
    referents: dict[int, Referent] = {}
    for row in EXPRESSIONS.rows(references):
        if wanted is not None and row.split not in wanted:
            continue
        new = Referent(ref_id=row.ref_id, object_id=row.object_id, image_id=row.image_id, split=row.split)
        referent = referents.setdefault(row.ref_id, new)
        referent.sent_ids.append(row.sent_id)
        referent.expressions.append(row.expression)
    return list(referents.values())


def by_image(referents: Iterable[Referent]) -> dict[str, list[Referent]]:
    """Image id -> its referents."""
    grouped: dict[str, list[Referent]] = {}
    for referent in referents:
        grouped.setdefault(referent.image_id, []).append(referent)
    return grouped


def ground_truth_of(ground_truth: Artifact, *, object_ids: Collection[str] | None = None) -> dict[str, GroundTruthRow]:
    """Object id -> ground-truth mask and category; of some objects, if any are given."""
    return {row.object_id: row for row in OBJECTS.rows(ground_truth, column="object_id", among=object_ids)}
