"""S2 by a teacher: the candidates that its imported masks for a referent's expressions overlap most.

Shapes: S expressions of a referent that have a mask, N its candidates.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import nan

import numpy as np
from numpy.typing import NDArray

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import referents_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import referent_preview
from assets.ssc.imported_masks import ByExpression, key_of, require_size, teacher_masks
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.offers import Offered
from assets.ssc.reviewed_choices import rule_table, with_reviews
from assets.ssc.tables import CHOICES, TEACHER_CHOICES, ChoiceRow, TeacherChoiceRow
from ops.refusal import Refused
from ops.ssc.mask_selection import Choice, teacher_choice
from resources.teachers.records import TeacherMask
from storage.digest import digest
from storage.masks import Rle

MakeRow = Callable[..., ChoiceRow]
"""`assets.ssc.mask_choices.choice_row`."""


def choices_of_teacher(work: Work, offers: Sequence[Offered], row: MakeRow) -> Outcome:
    """One choice for each referent, and beside it what the teacher says of it."""
    opens = partial(open_choice_of_teacher, row=row)
    decide = work.once(opens)
    if gone := decide.masks.gone:
        work.log(f"{gone} of the teacher's masks are for expressions that the data set has no more")
    tasks = [ImageTask(image=offer.image, payload=offer, key=decide.key(offer)) for offer in offers]
    rule = rule_table(work.knobs_as(ChoiceKnobs))
    tally = per_image(work, rule, tasks, opens, earlier=CHOICES.name)
    TEACHER_CHOICES.write(work.slot, decide.told(offers, rule.read_slot(work.slot)))
    tallies = with_reviews(work, tally)
    reasons = Counter(row.reason for row in CHOICES.slot_rows(work.slot))
    return Outcome(
        tallies=tallies,
        metrics={**reasons, "masks whose expression is gone": decide.masks.gone},
        preview=referent_preview(work, CHOICES.slot_rows(work.slot)),
    )


def open_choice_of_teacher(work: Work, *, row: MakeRow) -> "ChoiceOfTeacher":
    """The teacher's masks, and the rule of the knobs."""
    return ChoiceOfTeacher(masks=masks_of_choices(work), least_iou=work.knobs_as(ChoiceKnobs).least_iou, row=row)


def masks_of_choices(work: Work) -> ByExpression:
    """The masks of the import that the knobs name, by sentence.

    Raises:
        Refused: it is no import of choices, or as `teacher_masks`.
    """
    found, masks = teacher_masks(work)
    if found.purpose != "choices":
        raise Refused(
            f"{found.name} was imported as {found.purpose}, which name no expressions: import masks for expressions "
            "with `wordmask import-masks --as choices`, under another name"
        )
    return ByExpression.of(masks, referents_of(work))


@dataclass(frozen=True, kw_only=True)
class ChoiceOfTeacher:
    """The candidate that a teacher's masks for the referent's expressions overlap most."""

    masks: ByExpression
    least_iou: float
    row: MakeRow

    def __call__(self, offer: Offered, _: Pixels) -> list[ChoiceRow]:
        """One row per referent."""
        rows = []
        for referent, candidates in zip(offer.referents, offer.candidates, strict=True):
            given = self.masks.of_referent(referent)
            require_size(given.values(), offer.image)
            none = np.zeros((0, len(candidates)))
            ious = {
                sent_id: np.array([[one.mask.iou(candidate.mask) for candidate in candidates]]).reshape(1, -1)
                for sent_id, one in given.items()
            }
            choice = self._choice(np.concatenate([none, *ious.values()]), [one.score for one in given.values()])
            alone = [self._choice(ious.get(sent_id, none), [None]) for sent_id in referent.sent_ids]
            rows.append(self.row(offer.image, referent, candidates, choice, alone))
        return rows

    def _choice(self, ious_SN: NDArray[np.float64], scores_S: Sequence[float | None]) -> Choice:
        """Without the votes: the column is for similarities, which others make confidences of."""
        choice = teacher_choice(ious_SN, scores_S, least_iou=self.least_iou)
        return replace(choice, scores_N=(nan,) * len(choice.scores_N))

    def key(self, offer: Offered) -> str:
        """The offer's own, and what the teacher says of it."""
        said = [key_of(self.masks.of_referent(referent).values()) for referent in offer.referents]
        return digest([offer.key, said])

    def told(self, offers: Iterable[Offered], rows: Iterable[ChoiceRow]) -> list[TeacherChoiceRow]:
        """How sure the teacher was of every choice, and how far the chosen candidate is its mask."""
        chosen = {row.ref_id: row.mask for row in rows}
        return [
            _told(referent.ref_id, list(self.masks.of_referent(referent).values()), chosen[referent.ref_id])
            for offer in offers
            for referent in offer.referents
            if referent.ref_id in chosen
        ]


def _told(ref_id: int, given: Sequence[TeacherMask], chosen: Rle | None) -> TeacherChoiceRow:
    scores = [one.score for one in given if one.score is not None]
    return TeacherChoiceRow(
        ref_id=ref_id,
        masks=len(given),
        score=float(np.mean(scores)) if scores else None,
        iou=max(one.mask.iou(chosen) for one in given) if given and chosen else None,
    )
