"""Rows of the shared tables as records: objects with their sentences, images, candidates."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from assets.framework.stage import Work
from ops.ssc.detections import spelled
from resources.datasets import ImageChangedError, ImageProblem, load_image
from storage.artifact import Artifact
from storage.files import sha256_of
from storage.masks import decode
from storage.rows import Quarantined

T = TypeVar("T")
Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Mask = NDArray[np.bool_]
"""(H, W)."""


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """One image of the data set."""

    image_id: str
    image_file: str
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Referent:
    """One reference: an object and everything that is said of it."""

    ref_id: int
    object_id: str
    image_id: str
    split: str
    sent_ids: list[int] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One candidate mask of an image."""

    image_id: str
    candidate: int
    label: str
    area: int
    rle: bytes
    height: int
    width: int

    def mask(self) -> Mask:
        """(H, W) at the image's size."""
        return decode(self.rle, self.height, self.width)


def images_of(references: Artifact) -> dict[str, ImageRecord]:
    """Image id -> image, in the order of the data set."""
    return {row["image_id"]: ImageRecord(**row) for row in references.table("images").to_pylist()}


def referents_of(references: Artifact, *, splits: Iterable[str] | None = None) -> list[Referent]:
    """Objects in the order of the data set; only those of the given splits, if any are given."""
    wanted = None if splits is None else set(splits)
    objects: dict[int, Referent] = {}
    for row in references.table("expressions").to_pylist():
        if wanted is not None and row["split"] not in wanted:
            continue
        record = objects.setdefault(
            row["ref_id"],
            Referent(**{name: row[name] for name in ("ref_id", "object_id", "image_id", "split")}),
        )
        record.sent_ids.append(row["sent_id"])
        record.sentences.append(row["expression"])
    return list(objects.values())


def by_image(objects: Iterable[Referent]) -> dict[str, list[Referent]]:
    """Image id -> its objects."""
    grouped: dict[str, list[Referent]] = {}
    for one in objects:
        grouped.setdefault(one.image_id, []).append(one)
    return grouped


def candidates_of(candidate_masks: Artifact) -> dict[str, list[Candidate]]:
    """Image id -> its candidates in their order; boxes in which no mask was found are left out."""
    names = Candidate.__dataclass_fields__
    grouped: dict[str, list[Candidate]] = {}
    for row in candidate_masks.table("candidates").select(list(names)).to_pylist():
        if row["area"]:
            grouped.setdefault(row["image_id"], []).append(Candidate(**row))
    return grouped


def of_classes(candidates: Iterable[Candidate], classes: Iterable[str]) -> list[Candidate]:
    """An object's candidates: those of its classes (spec 2.7), and masks of no class (SAM's automatic ones)."""
    wanted = {spelled(name) for name in classes}
    return [one for one in candidates if not one.label or one.label in wanted]


def read_image(work: Work, image: ImageRecord) -> Pixels:
    """The pixels of an image, which are those that the stage `references` saw.

    Raises:
        ImageChangedError: they are not, or the file is gone: every stage would tell of other pixels.
    """
    try:
        path = work.dataset.image_path(image.image_file)
        if sha256_of(path) == image.sha256:
            return load_image(path)
    except (OSError, ImageProblem) as problem:
        raise ImageChangedError(image.image_file, f"cannot be read any more ({problem})") from problem
    raise ImageChangedError(image.image_file, "is another file now")


def on_image(work: Work, image: ImageRecord, compute: Callable[[Pixels], T]) -> T | Quarantined:
    """What `compute` finds in an image, or what a model refuses in it."""
    pixels = read_image(work, image)
    try:
        return compute(pixels)
    except ValueError as problem:
        return Quarantined(f"{image.image_file} ({image.width} x {image.height}): {problem}")
