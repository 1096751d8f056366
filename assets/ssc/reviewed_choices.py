"""S2 where persons decided: the choices of the rule, and over them what `wordmask review` has written down.

The rule's choices stand in a table of their own, image by image, as if there were no reviews; `choices` is filled from
it referent by referent, so that a decision computes its own row anew and no other. A mask that a person chose is
supervision: such rows have a reason of `BY_PERSON`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.data.tables import ImageRow, images_of, referents_of
from assets.framework.tables import Table
from assets.framework.work import Work
from assets.ssc.imported_masks import fingerprint_of, teacher_fingerprint
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.review_keys import mask_key, referent_keys
from assets.ssc.stages import CANDIDATE_MASKS
from assets.ssc.tables import (
    CHOICES,
    REVIEWED,
    RULE_CHOICES,
    RULE_SEVERAL,
    SEVERAL,
    CandidateRow,
    ChoiceRow,
    SeveralRow,
    candidates_of,
    reviewed_as,
)
from ops.refusal import Refused
from resources.reviews import Decision, Reviews, read_reviews
from storage.digest import digest
from storage.rows import Rows, Tally, Unit, fill_table

GONE = "reviewed mask is gone"
"""Ends the reason of a row whose decision names a mask that is no candidate any more: the rule's choice stays."""


def rule_table(knobs: ChoiceKnobs) -> Table[ChoiceRow]:
    """Where the rule's own choices stand."""
    if knobs.reviews:
        return RULE_SEVERAL if knobs.plural == "all" else RULE_CHOICES
    return SEVERAL if knobs.plural == "all" else CHOICES


def with_reviews(work: Work, rule: Tally) -> dict[str, Tally]:
    """Fill `choices` where persons' decisions count; the tallies of what was filled, `rule` that of the rule's table.

    Raises:
        Refused: the decisions are others than when the stage began.
    """
    knobs = work.knobs_as(ChoiceKnobs)
    if not knobs.reviews:
        return {CHOICES.name: rule}
    reviews = reviews_read(work)
    if reviews.damage:
        work.log(f"reviews of {work.instance.dataset}: {reviews.damage}")
    images, referents = images_of(work), referents_of(work)
    keys = referent_keys(referents, images)
    if unknown := len(reviews.counted.keys() - set(keys.values())):
        work.log(f"{unknown} decisions are about referents that the data set has no more")
    candidates = candidates_of(work.input(CANDIDATE_MASKS))
    units = []
    for row in rule_table(knobs).read_slot(work.slot):
        verdict = reviews.counted.get(keys[row.ref_id])
        reviewed = Reviewed.of(row, verdict, candidates.get(row.image_id, ()), images[row.image_id])
        units.append(Unit(key=reviewed.key, payload=reviewed, label=f"referent {row.ref_id}"))
    table = SEVERAL if knobs.plural == "all" else CHOICES

    def rows(asked: Sequence[Reviewed]) -> Iterable[tuple[int, Rows]]:
        return enumerate([table.columns(one.row())] for one in asked)

    settings = {"schema": table.schema, "shard": work.runtime.shard, "reuse": work.reuse, "log": work.log}
    return {CHOICES.name: fill_table(work.slot, table.name, units, rows, **settings), RULE_CHOICES.name: rule}


def reviews_read(work: Work) -> Reviews:
    """The decisions as they were when the stage began, whatever was appended since.

    Raises:
        Refused: they can not be told any more, or a teacher's masks were replaced.
    """
    teacher = teacher_fingerprint(work.instance)
    for reviews in read_reviews(work.instance.dataset).earlier():
        if fingerprint_of(teacher, reviews.fingerprint) == work.raw:
            return reviews
    raise Refused("the reviews or an import were replaced while this stage began: start a new run, which reads them")


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """The rule's choice for a referent, and what a person says."""

    choice: ChoiceRow
    verdict: Decision | None
    taken: CandidateRow | None
    """The candidate that the verdict names; None where it names none, or none of today's."""

    @classmethod
    def of(
        cls, choice: ChoiceRow, verdict: Decision | None, candidates: Iterable[CandidateRow], image: ImageRow
    ) -> "Reviewed":
        """Find the mask that is meant among the referent's candidates."""
        taken = None
        if verdict is not None and verdict.decision == "mask":
            mine = (one for one in candidates if one.candidate in choice.candidates)
            taken = next((one for one in mine if mask_key(image, one.mask) == verdict.mask), None)
        return cls(choice=choice, verdict=verdict, taken=taken)

    @property
    def key(self) -> str:
        """Digest of all that determines the row."""
        verdict = self.verdict and [self.verdict.decision, self.verdict.mask]
        return digest([_plain(vars(self.choice)), verdict, self.taken and self.taken.candidate])

    def row(self) -> ChoiceRow:
        """The rule's row, unless a person decided otherwise."""
        if self.verdict is None:
            return self.choice
        if self.verdict.decision == "mask" and self.taken is None:
            return replace(self.choice, reason=f"{self.choice.reason}; {GONE}")
        name = -1 if self.taken is None else self.taken.candidate
        changes: dict[str, Any] = {
            "reason": REVIEWED if self.taken else reviewed_as(self.verdict.decision),
            "chosen": self.taken and name,
            "chosen_by_sentence": [name] * len(self.choice.chosen_by_sentence),
            "rle": self.taken and self.taken.rle,
        }
        if isinstance(self.choice, SeveralRow):
            changes["together"] = [name] if self.taken else []
        return replace(self.choice, **changes)


def _plain(cells: Mapping[str, Any]) -> dict[str, Any]:
    """As `storage.digest` takes it."""
    return {name: cell.hex() if isinstance(cell, bytes) else cell for name, cell in cells.items()}
