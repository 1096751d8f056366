"""A teacher's imported masks as S1 and S2 see them: those of an image, and those of each referent's expressions.

The data set may have changed since the import. A mask belongs to an expression of its image by the text, and by the
sentence's number where that still has this text; masks whose expression is gone are counted and told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from assets.data.images import Mask
from assets.data.tables import ImageRow, Referent
from assets.framework.stage import StageInstance
from assets.framework.work import Work
from assets.ssc.knobs import ChoiceKnobs, TeacherKnobs
from ops.refusal import Refused
from resources.reviews import read_reviews
from resources.teachers.imports import Import, imported
from resources.teachers.records import TeacherMask
from storage.digest import digest

Given = Mapping[int, TeacherMask]
"""Sentence -> what the teacher gives it."""


def import_fingerprint(instance: StageInstance) -> str | None:
    """Of the import that a stage's knobs name, and of persons' decisions where they ask for these; None for neither.

    Raises:
        Refused: it is not there, or the decisions can not be read.
    """
    knobs = instance.knobs
    reviewed = isinstance(knobs, ChoiceKnobs) and knobs.reviews
    reviews = read_reviews(instance.dataset).fingerprint if reviewed else None
    return fingerprint_of(teacher_fingerprint(instance), reviews)


def teacher_fingerprint(instance: StageInstance) -> str | None:
    """Of the import that a stage's knobs name; None where they name none; raises as `import_fingerprint`."""
    knobs = instance.knobs
    asked = isinstance(knobs, TeacherKnobs) and knobs.imports
    return imported(instance.dataset, knobs.teacher).fingerprint if asked else None  # type: ignore[attr-defined]


def fingerprint_of(teacher: str | None, reviews: str | None) -> str | None:
    """Of both; that of the teacher alone where no decisions are asked for."""
    return teacher if reviews is None else digest([teacher, reviews])


def teacher_masks(work: Work) -> tuple[Import, list[TeacherMask]]:
    """The import that the stage's knobs name, and its masks.

    Raises:
        Refused: it is not there, or was replaced since the stage began.
    """
    from resources.teachers.kept import kept_masks

    knobs = work.knobs_as(TeacherKnobs)
    found = imported(work.instance.dataset, knobs.teacher)
    reviewed = isinstance(knobs, ChoiceKnobs) and knobs.reviews  # whose readers compare both
    if not reviewed and found.fingerprint != work.raw:
        raise Refused(f"{knobs.teacher} was imported anew while this stage began: start a new run, which reads it")
    return found, kept_masks(found)


def of_images(masks: Iterable[TeacherMask]) -> dict[str, list[TeacherMask]]:
    """Image id -> its masks, each run length and label once: of several expressions' equal masks the best scored."""
    grouped: dict[str, dict[tuple[str, bytes], TeacherMask]] = {}
    for one in masks:
        here = grouped.setdefault(one.image_id, {})
        known = here.get((one.label, one.mask.counts))
        if known is None or (one.score or 0) > (known.score or 0):
            here[one.label, one.mask.counts] = one
    return {image_id: list(found.values()) for image_id, found in grouped.items()}


@dataclass(frozen=True)
class ByExpression:
    """Masks for expressions of a data set as it is now."""

    given: Given
    gone: int
    """Masks whose expression the data set has no more."""

    @classmethod
    def of(cls, masks: Iterable[TeacherMask], referents: Iterable[Referent]) -> "ByExpression":
        """Find every mask's expression."""
        texts: dict[tuple[str, str], list[int]] = {}
        for referent in referents:
            for sent_id, text in zip(referent.sent_ids, referent.expressions, strict=True):
                texts.setdefault((referent.image_id, text), []).append(sent_id)
        given: dict[int, TeacherMask] = {}
        gone = 0
        for one in masks:
            there = texts.get((one.image_id, one.expression), [])
            gone += not there
            for sent_id in [one.sent_id] if one.sent_id in there else there:
                given.setdefault(sent_id, one)
        return cls(given, gone)

    def of_referent(self, referent: Referent) -> dict[int, TeacherMask]:
        """Sentence -> its mask, of those sentences that have one."""
        return {sent_id: self.given[sent_id] for sent_id in referent.sent_ids if sent_id in self.given}


def require_size(masks: Iterable[TeacherMask], image: ImageRow) -> None:
    """Refuse masks of another size than the image has now, which becomes the image's reason in the ledger."""
    sizes = {(one.mask.height, one.mask.width) for one in masks} - {(image.height, image.width)}
    if sizes:
        height, width = sizes.pop()
        raise Refused(f"a teacher's mask has {width} x {height} pixels: the image changed since; import the masks anew")


def key_of(masks: Iterable[TeacherMask]) -> list[object]:
    """What a unit's result depends on."""
    return [[one.sent_id, one.label, one.score, one.mask.counts.hex()] for one in masks]


def stacked(masks: Iterable[TeacherMask]) -> Mask:
    """(N, H, W); at least one."""
    return np.stack([one.mask.decode() for one in masks])
