"""S2: which candidate mask a referent's expressions mean.

Shapes: S expressions of a referent, N its candidates, J referents of an image, K its candidates, D embedding width.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import ImageRow, Referent, by_image, images_of, referents_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import referent_preview
from assets.ssc.clip_scorers import Scorer, open_scorer
from assets.ssc.imported_masks import ByExpression, key_of, require_size, teacher_masks
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.stages import CANDIDATE_MASKS, PROJECTED_CLASSES
from assets.ssc.tables import (
    CHOICES,
    TEACHER_CHOICES,
    CandidateRow,
    ChoiceRow,
    TeacherChoiceRow,
    candidates_of,
    of_classes,
    queries_of,
)
from ops.refusal import Refused
from ops.ssc.mask_selection import (
    COMPAT,
    FIXED,
    Choice,
    Rule,
    choose,
    first_choice,
    indices_to_score,
    mean_similarity,
    random_choice,
    teacher_choice,
)
from ops.ssc.matching import match
from resources.teachers.records import TeacherMask
from storage.digest import digest
from storage.masks import Rle


@dataclass(frozen=True, kw_only=True)
class Offered:
    """The referents of an image, and each one's candidates."""

    image: ImageRow
    referents: list[Referent]
    candidates: list[list[CandidateRow]]
    """Of each referent."""

    @property
    def key(self) -> str:
        """Digest of everything that the choice depends on, but for knobs and models."""
        said = [[referent.ref_id, referent.expressions] for referent in self.referents]
        masks = [[[mask.candidate, mask.rle.hex()] for mask in masks] for masks in self.candidates]
        return digest([self.image.image_id, self.image.sha256, said, masks])


Decide = Callable[[Offered, Pixels], list[ChoiceRow]]


def mask_choices(work: Work) -> Outcome:
    """One choice for each referent, and what each expression alone would choose."""
    images, candidates = images_of(work), candidates_of(work.input(CANDIDATE_MASKS))
    queries = queries_of(work.input(PROJECTED_CLASSES))
    offers = [
        Offered(
            image=images[image_id],
            referents=referents,
            candidates=[
                of_classes(candidates.get(image_id, []), queries[referent.ref_id].classes) for referent in referents
            ],
        )
        for image_id, referents in by_image(referents_of(work)).items()
    ]
    decide = decider(work, work.knobs_as(ChoiceKnobs))
    tasks = [ImageTask(image=offer.image, payload=offer, key=_key(offer, decide)) for offer in offers]
    tally = per_image(work, CHOICES, tasks, decide)
    rows = CHOICES.read_slot(work.slot)
    metrics: dict[str, float | int | str] = dict(Counter(row.reason for row in rows))
    if isinstance(decide, ChoiceOfTeacher):
        metrics |= {"masks whose expression is gone": decide.masks.gone}
        TEACHER_CHOICES.write(work.slot, decide.told(offers, rows))
    return Outcome(tallies={"choices": tally}, metrics=metrics, preview=referent_preview(work, rows))


def _key(offer: Offered, decide: Decide) -> str:
    """The offer's own, and what a teacher says of it."""
    if not isinstance(decide, ChoiceOfTeacher):
        return offer.key
    said = [key_of(decide.masks.of_referent(referent).values()) for referent in offer.referents]
    return digest([offer.key, said])


def decider(work: Work, knobs: ChoiceKnobs) -> Decide:
    """What chooses for the referents of an image, by `knobs.rule`."""
    if knobs.rule in ("clip", "global_local"):
        return ChoiceByScore(knobs=knobs, scorer=open_scorer(knobs, work.runtime))
    if knobs.imports:
        return ChoiceOfTeacher(masks=_masks_of_choices(work), least_iou=knobs.least_iou)
    return BlindChoice(knobs)


@dataclass(frozen=True)
class BlindChoice:
    """The baselines that see neither image nor expression: a random candidate, or the first."""

    knobs: ChoiceKnobs

    def __call__(self, offer: Offered, _: Pixels) -> list[ChoiceRow]:
        """One row per referent."""
        rows = []
        for referent, masks in zip(offer.referents, offer.candidates, strict=True):
            if self.knobs.rule == "random":
                choice = random_choice(len(masks), referent_id=referent.ref_id, seed=self.knobs.seed)
            else:
                choice = first_choice(len(masks))
            rows.append(choice_row(offer.image, referent, masks, choice, [choice] * len(referent.expressions)))
        return rows


def _masks_of_choices(work: Work) -> ByExpression:
    found, masks = teacher_masks(work)
    if found.purpose != "choices":
        raise Refused(
            f"{found.name} was imported as {found.purpose}, which name no expressions: import masks for expressions "
            "with `wordmask import-masks --as choices`, under another name"
        )
    fitting = ByExpression.of(masks, referents_of(work))
    if fitting.gone:
        work.log(f"{fitting.gone} masks of {found.name} are for expressions that the data set has no more")
    return fitting


@dataclass(frozen=True, kw_only=True)
class ChoiceOfTeacher:
    """The candidate that a teacher's masks for the referent's expressions overlap most."""

    masks: ByExpression
    least_iou: float

    def __call__(self, offer: Offered, _: Pixels) -> list[ChoiceRow]:
        """One row per referent."""
        rows = []
        for referent, candidates in zip(offer.referents, offer.candidates, strict=True):
            given = self.masks.of_referent(referent)
            require_size(given.values(), offer.image)
            ious = {
                sent_id: np.array([[one.mask.iou(candidate.mask) for candidate in candidates]]).reshape(1, -1)
                for sent_id, one in given.items()
            }
            none = np.zeros((0, len(candidates)))
            choice = self._choice(np.concatenate([none, *ious.values()]), [one.score for one in given.values()])
            alone = [self._choice(ious.get(sent_id, none), [None]) for sent_id in referent.sent_ids]
            rows.append(choice_row(offer.image, referent, candidates, choice, alone))
        return rows

    def _choice(self, ious_SN: NDArray[np.float64], scores_S: Sequence[float | None]) -> Choice:
        return teacher_choice(ious_SN, scores_S, least_iou=self.least_iou)

    def told(self, offers: Iterable[Offered], rows: Iterable[ChoiceRow]) -> list[TeacherChoiceRow]:
        """How sure the teacher was of every choice, and how far the chosen candidate is its mask."""
        chosen = {row.ref_id: row.mask for row in rows}
        return [
            self._told(referent.ref_id, list(self.masks.of_referent(referent).values()), chosen[referent.ref_id])
            for offer in offers
            for referent in offer.referents
            if referent.ref_id in chosen
        ]

    def _told(self, ref_id: int, given: Sequence[TeacherMask], chosen: Rle | None) -> TeacherChoiceRow:
        scores = [one.score for one in given if one.score is not None]
        return TeacherChoiceRow(
            ref_id=ref_id,
            masks=len(given),
            score=float(np.mean(scores)) if scores else None,
            iou=max(one.mask.iou(chosen) for one in given) if given and chosen else None,
        )


@dataclass(frozen=True, kw_only=True)
class ChoiceByScore:
    """The candidate that a scorer finds most similar to all expressions of a referent (S+S+C Eq. 1, spec 3)."""

    knobs: ChoiceKnobs
    scorer: Scorer

    def __call__(self, offer: Offered, pixels: Pixels) -> list[ChoiceRow]:
        """Encode each needed (image, candidate) once and each expression once, then decide for every referent."""
        scoring = self._scoring(offer, pixels)
        choices = [scoring.choice(masks, texts_SD) for masks, texts_SD in scoring.each]
        alone = [[scoring.choice(masks, text_D[None]) for text_D in texts_SD] for masks, texts_SD in scoring.each]
        if self.knobs.assign == "greedy":
            choices = matched_choices(choices, scoring.similarities(), offer.candidates)
        each = zip(offer.referents, offer.candidates, choices, alone, strict=True)
        return [choice_row(offer.image, referent, masks, choice, single) for referent, masks, choice, single in each]

    def _scoring(self, offer: Offered, pixels: Pixels) -> "Scoring":
        rule = replace(COMPAT if self.knobs.compat else FIXED, min_area=self.knobs.min_area)
        size = pixels.shape[0] * pixels.shape[1]
        areas = [[mask.area for mask in masks] for masks in offer.candidates]
        asked = [indices_to_score(areas_N, rule=rule, image_area=size) for areas_N in areas]
        if self.knobs.assign == "greedy":  # a referent whose choice needs no score competes for it, too
            asked = [rows or only_choice(areas_N, rule, size) for rows, areas_N in zip(asked, areas, strict=True)]
        needed = {
            masks[row].candidate: masks[row]
            for masks, rows in zip(offer.candidates, asked, strict=True)
            for row in rows
        }
        texts = [text for referent in offer.referents for text in referent.expressions]
        texts_D = self.scorer.texts(texts) if needed else torch.empty(len(texts), 0)
        images_D = self.scorer.images(pixels, list(needed.values())) if needed else ()
        return Scoring(
            rule=rule,
            image_area=size,
            candidates=offer.candidates,
            asked=asked,
            texts=texts_D.split([len(referent.expressions) for referent in offer.referents]),
            embedded=dict(zip(needed, images_D, strict=True)),
        )


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The embeddings of an image's candidates and expressions, and the rule that decides by them."""

    rule: Rule
    image_area: int
    candidates: Sequence[Sequence[CandidateRow]]
    asked: Sequence[Sequence[int]]
    """Rows of each referent's candidates that need a score."""
    texts: Sequence[Tensor]
    """(S, D) of each referent."""
    embedded: Mapping[int, Tensor]
    """Candidate -> (D,)."""

    @property
    def each(self) -> list[tuple[Sequence[CandidateRow], Tensor]]:
        """Candidates and expressions of each referent."""
        return list(zip(self.candidates, self.texts, strict=True))

    def choice(self, masks: Sequence[CandidateRow], texts_SD: Tensor) -> Choice:
        """The choice among candidates by some expressions."""
        return choose(
            [mask.area for mask in masks],
            lambda rows: self.similarity(masks, texts_SD, rows),
            rule=self.rule,
            image_area=self.image_area,
        )

    def similarity(self, masks: Sequence[CandidateRow], texts_SD: Tensor, rows: Sequence[int]) -> Sequence[float]:
        """Mean of 100 cosine over the expressions, of the candidates in `rows`."""
        return mean_similarity(texts_SD, torch.stack([self.embedded[masks[row].candidate] for row in rows]))

    def similarities(self) -> list[dict[int, float]]:
        """For each referent, candidate -> similarity, of those that compete."""
        return [
            dict(
                zip(
                    (masks[row].candidate for row in rows),
                    self.similarity(masks, texts_SD, rows) if rows else (),
                    strict=True,
                )
            )
            for (masks, texts_SD), rows in zip(self.each, self.asked, strict=True)
        ]


def only_choice(areas_N: Sequence[int], rule: Rule, image_area: int) -> tuple[int, ...]:
    """The row that is chosen without any score, if there is one."""
    index = choose(areas_N, (), rule=rule, image_area=image_area).index
    return (index,) if index >= 0 else ()


def matched_choices(
    choices: Sequence[Choice], similar: Sequence[Mapping[int, float]], candidates: Sequence[Sequence[CandidateRow]]
) -> list[Choice]:
    """Choices of an image's referents by constrained greedy matching (spec 3.7); left-overs keep their own best."""
    names = sorted({name for scores in similar for name in scores})
    scores_JK = np.array([[scores.get(name, 0.0) for name in names] for scores in similar]).reshape(len(choices), -1)
    allowed = [[names.index(name) for name in scores] for scores in similar]
    places = match(scores_JK, range(len(choices)), allowed, leftovers="fallback_best").candidates
    matched = []
    for choice, place, masks in zip(choices, places, candidates, strict=True):
        index = [mask.candidate for mask in masks].index(names[place]) if place >= 0 else choice.index
        matched.append(replace(choice, index=index, reason="matched" if choice.reason == "clip" else choice.reason))
    return matched


def choice_row(
    image: ImageRow, referent: Referent, masks: Sequence[CandidateRow], choice: Choice, alone: Sequence[Choice]
) -> ChoiceRow:
    """A row of the table `choices`; `alone` are the choices of each expression by itself."""
    chosen = masks[choice.index] if choice.index >= 0 else None
    return ChoiceRow(
        ref_id=referent.ref_id,
        image_id=referent.image_id,
        candidates=[mask.candidate for mask in masks],
        scores=[score if np.isfinite(score) else None for score in choice.scores_N],
        reason=choice.reason,
        chosen=None if chosen is None else chosen.candidate,
        chosen_by_sentence=[masks[single.index].candidate if single.index >= 0 else -1 for single in alone],
        rle=None if chosen is None else chosen.rle,
        height=image.height,
        width=image.width,
    )
