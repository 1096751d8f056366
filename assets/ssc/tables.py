"""Rows of the tables of Segment, Select, Correct."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from assets.framework.tables import Column, Height, RleBytes, Table, Width, WithMask, WithOptionalMask
from ops.ssc.captions import canonical_name
from ops.ssc.mask_selection import confidence_of, margin_of
from storage.artifact import Artifact

REVIEWED = "reviewed"
"""Reason of a choice that is a person's."""


def reviewed_as(verdict: str) -> str:
    """The same where a person says that it is none of the candidates, or not in the image."""
    return f"{REVIEWED}: {verdict}"


def is_by_person(reason: str) -> bool:
    """Whether a reason of a choice says that a person made it."""
    return reason == REVIEWED or reason.startswith(f"{REVIEWED}: ")


@dataclass(frozen=True, kw_only=True)
class NounRow:
    """The nouns of one expression."""

    expression: Annotated[str, Column(pa.string(), "expression")]
    nouns: Annotated[list[str], Column(pa.list_(pa.string()), "extracted nouns, in order")]


@dataclass(frozen=True, kw_only=True)
class ProjectionRow:
    """The class of one noun."""

    noun: Annotated[str, Column(pa.string(), "noun as extracted")]
    label: Annotated[str, Column(pa.string(), "class it is taken for")]
    similarity: Annotated[float | None, Column(pa.float32(), "cosine of the two prompts; null when not projected")]


@dataclass(frozen=True, kw_only=True)
class QueryRow:
    """The classes of one referent."""

    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    image_id: Annotated[str, Column(pa.string(), "image")]
    query: Annotated[
        list[str], Column(pa.list_(pa.string()), "what the detector is asked for on behalf of this referent")
    ]
    classes: Annotated[list[str], Column(pa.list_(pa.string()), "classes whose masks are this referent's candidates")]


@dataclass(frozen=True, kw_only=True)
class CandidateRow(WithMask):
    """One candidate mask of an image (S1)."""

    image_id: Annotated[str, Column(pa.string(), "image")]
    candidate: Annotated[int, Column(pa.int32(), "number of the candidate in its image")]
    label: Annotated[str, Column(pa.string(), "class it was detected as; empty for masks of no class")]
    x0: Annotated[float | None, Column(pa.float32(), "left edge of the box, pixels")]
    y0: Annotated[float | None, Column(pa.float32(), "upper edge")]
    x1: Annotated[float | None, Column(pa.float32(), "right edge")]
    y1: Annotated[float | None, Column(pa.float32(), "lower edge")]
    detector_score: Annotated[float | None, Column(pa.float32(), "best token score of the class")]
    segmenter_score: Annotated[float, Column(pa.float32(), "predicted IoU of the mask")]
    area: Annotated[int, Column(pa.int64(), "pixels; 0: nothing was found in the box, which is no candidate")]
    rle: Annotated[bytes, Column(pa.binary(), "mask, COCO run-length encoding; masks may overlap")]
    height: Height
    width: Width


@dataclass(frozen=True, kw_only=True)
class RewordedRow:
    """A class that the detector is not asked for as it is; the table is there where there is one."""

    label: Annotated[str, Column(pa.string(), "class")]
    asked: Annotated[str | None, Column(pa.string(), "what was asked for instead; null: nothing")]
    reason: Annotated[str, Column(pa.string(), "why")]
    images: Annotated[int, Column(pa.int64(), "images in which it was wanted")]


@dataclass(frozen=True, kw_only=True)
class GroundedRow(WithMask):
    """The mask of the most confident box for one expression (baseline "G-DINO + SAM")."""

    sent_id: Annotated[int, Column(pa.int64(), "expression")]
    detector_score: Annotated[float, Column(pa.float32(), "of the most confident box")]
    rle: RleBytes
    height: Height
    width: Width


@dataclass(frozen=True, kw_only=True)
class ChoiceRow(WithOptionalMask):
    """The choice among one referent's candidates (S2)."""

    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    image_id: Annotated[str, Column(pa.string(), "image")]
    candidates: Annotated[
        list[int], Column(pa.list_(pa.int32()), "numbers of the referent's candidates in their image")
    ]
    scores: Annotated[
        list[float | None],
        Column(
            pa.list_(pa.float64()),
            "100 cosine and the other terms, by the consensus of the expressions; null where not needed",
        ),
    ]
    reason: Annotated[str, Column(pa.string(), "how the choice came about")]
    chosen: Annotated[int | None, Column(pa.int32(), "number of the chosen candidate; null: none")]
    chosen_by_sentence: Annotated[
        list[int],
        Column(pa.list_(pa.int32()), "the same decided by each expression alone (paper Eq. 1); -1: none"),
    ]
    rle: Annotated[bytes | None, Column(pa.binary(), "chosen mask, COCO run-length encoding; null: none")]
    height: Height
    width: Width

    @property
    def taken(self) -> list[int]:
        """Numbers of the candidates that the mask is made of: the chosen one, or none."""
        return [] if self.chosen is None else [self.chosen]

    @property
    def mask_name(self) -> int | str | None:
        """What the mask is called among the masks of its image: equal names mean one mask."""
        return self.chosen if len(self.taken) < 2 else "+".join(map(str, self.taken))

    @property
    def by_person(self) -> bool:
        """Whether a person chose, and no rule: such a mask is supervision."""
        return is_by_person(self.reason)

    @property
    def confidence(self) -> float | None:
        """See `ops.ssc.mask_selection.confidence_of`; None where a person chose."""
        return None if self.by_person else confidence_of(self._scored, self.taken)

    @property
    def margin(self) -> float | None:
        """See `ops.ssc.mask_selection.margin_of`; None where a person chose."""
        return None if self.by_person else margin_of(self._scored, self.taken)

    @property
    def _scored(self) -> dict[int, float]:
        """Candidate -> score, of those that have one."""
        scores = zip(self.candidates, self.scores, strict=True)
        return {number: score for number, score in scores if score is not None}


@dataclass(frozen=True, kw_only=True)
class SeveralRow(ChoiceRow):
    """The choice where expressions may mean several candidates; `rle` is the union of those in `together`."""

    together: Annotated[
        list[int],
        Column(pa.list_(pa.int32()), "numbers of the candidates whose union the mask is, the chosen one among them"),
    ]

    @property
    def taken(self) -> list[int]:
        """All whose union the mask is."""
        return self.together


@dataclass(frozen=True, kw_only=True)
class AbsenceRow:
    """The best score of one sentence in an image, for the threshold of absent objects."""

    image_id: Annotated[str, Column(pa.string(), "image")]
    ref_id: Annotated[int, Column(pa.int64(), "referent whose candidates were looked at")]
    expression: Annotated[str, Column(pa.string(), "sentence, of this referent or of another image's")]
    kind: Annotated[str, Column(pa.string(), "true; or swapped: same class, other class")]
    score: Annotated[float, Column(pa.float64(), "100 cosine of the candidate that would be chosen")]


@dataclass(frozen=True, kw_only=True)
class TeacherChoiceRow:
    """What a teacher's imported masks say of one referent; the table is there where a teacher chooses."""

    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    masks: Annotated[int, Column(pa.int64(), "expressions of the referent that the teacher has a mask for")]
    score: Annotated[float | None, Column(pa.float64(), "mean of the teacher's scores; null where it gives none")]
    iou: Annotated[
        float | None, Column(pa.float64(), "of the chosen candidate with the most similar of these masks; null: none")
    ]


@dataclass(frozen=True, kw_only=True)
class MatchRow:
    """What matching gave to one referent after an epoch."""

    epoch: Annotated[int, Column(pa.int32(), "epochs trained; 0 is before the first")]
    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    candidate: Annotated[int | None, Column(pa.int32(), "candidate that matching gives to it; null: left over")]


@dataclass(frozen=True, kw_only=True)
class MatchedLabelRow(WithOptionalMask):
    """The candidate that the corrected model gives to one referent."""

    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    candidate: Annotated[
        int | None, Column(pa.int32(), "candidate that matching gives to the referent; null: left over")
    ]
    rle: Annotated[bytes | None, Column(pa.binary(), "its mask, COCO run-length encoding; null: left over")]
    height: Height
    width: Width


NOUNS = Table("nouns", NounRow)
PROJECTIONS = Table("projections", ProjectionRow)
QUERIES = Table("queries", QueryRow)
CANDIDATES = Table("candidates", CandidateRow)
REWORDED = Table("reworded", RewordedRow)
GROUNDED = Table("masks", GroundedRow)
CHOICES = Table("choices", ChoiceRow)
RULE_CHOICES = Table("rule_choices", ChoiceRow)
"""What the rule alone chooses; the table is there where persons' decisions count."""
TEACHER_CHOICES = Table("teacher", TeacherChoiceRow)
SEVERAL: Table[ChoiceRow] = Table("choices", SeveralRow)
"""The same table under `plural: all`: its readers may also read it as `CHOICES`."""
RULE_SEVERAL: Table[ChoiceRow] = Table(RULE_CHOICES.name, SeveralRow)
ABSENCE = Table("absence", AbsenceRow)
MATCHES = Table("matches", MatchRow)
MATCHED_LABELS = Table("labels", MatchedLabelRow)


def nouns_of(noun_phrases: Artifact, *, expressions: Collection[str] | None = None) -> dict[str, list[str]]:
    """Expression -> its nouns; of some expressions, if any are given."""
    return {row.expression: row.nouns for row in NOUNS.rows(noun_phrases, column="expression", among=expressions)}


def queries_of(projected_classes: Artifact, *, ref_ids: Collection[int] | None = None) -> dict[int, QueryRow]:
    """Referent -> its classes; of some referents, if any are given."""
    return {row.ref_id: row for row in QUERIES.rows(projected_classes, column="ref_id", among=ref_ids)}


def candidates_of(
    candidate_masks: Artifact, *, image_ids: Collection[str] | None = None
) -> dict[str, list[CandidateRow]]:
    """Image id -> its candidates in their order, of some images, if any are given.

    Boxes in which no mask was found are left out.
    """
    grouped: dict[str, list[CandidateRow]] = {}
    for row in CANDIDATES.rows(candidate_masks, column="image_id", among=image_ids):
        if row.area:
            grouped.setdefault(row.image_id, []).append(row)
    return grouped


def of_classes(candidates: Iterable[CandidateRow], classes: Iterable[str]) -> list[CandidateRow]:
    """A referent's candidates: those of its classes (S+S+C spec 2.7), and masks of no class (SAM's automatic ones)."""
    wanted = {canonical_name(name) for name in classes}
    return [candidate for candidate in candidates if not candidate.label or candidate.label in wanted]


def read_choices(mask_choices: Artifact, *, ref_ids: Collection[int] | None = None) -> Iterator[ChoiceRow]:
    """Every choice, or those of some referents; a `SeveralRow` where expressions may mean several candidates."""
    table = SEVERAL if _several(mask_choices) else CHOICES
    return table.rows(mask_choices, column="ref_id", among=ref_ids)


def read_rule_choices(mask_choices: Artifact) -> Iterator[ChoiceRow]:
    """What the rule chose, whatever persons decided."""
    if not mask_choices.has(f"{RULE_CHOICES.name}.parquet"):
        return read_choices(mask_choices)
    return (RULE_SEVERAL if _several(mask_choices) else RULE_CHOICES).rows(mask_choices)


def _several(mask_choices: Artifact) -> bool:
    return "together" in mask_choices.schema(CHOICES.name).names


def choices_of(mask_choices: Artifact, *, ref_ids: Collection[int] | None = None) -> dict[int, ChoiceRow]:
    """Referent -> the choice among its candidates; of some referents, if any are given."""
    return {row.ref_id: row for row in read_choices(mask_choices, ref_ids=ref_ids)}
