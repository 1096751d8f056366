"""S2: which candidate mask a referent's expressions mean.

Shapes: S expressions of a referent, N its candidates, J referents of an image, K its candidates, D embedding width.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import ImageRow, Referent, by_image, images_of, referents_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import referent_preview
from assets.ssc.clip_scorers import Scorer, open_scorer
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.place_terms import NO_PLACES, Floats, PlaceTerms, open_place_terms
from assets.ssc.stages import CANDIDATE_MASKS, PROJECTED_CLASSES
from assets.ssc.tables import CHOICES, CandidateRow, ChoiceRow, candidates_of, of_classes, queries_of
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
)
from ops.ssc.matching import match
from storage.digest import digest


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

    @property
    def placed_key(self) -> str:
        """As `key`, where places are read, for which boxes and classes matter, too."""
        known = [[[mask.label, mask.x0, mask.y0, mask.x1, mask.y1] for mask in masks] for masks in self.candidates]
        return digest([self.key, known])


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
    knobs = work.knobs_as(ChoiceKnobs)
    tasks = [
        ImageTask(image=offer.image, payload=offer, key=offer.placed_key if knobs.places else offer.key)
        for offer in offers
    ]
    tally = per_image(work, CHOICES, tasks, decider(work, knobs))
    rows = CHOICES.read_slot(work.slot)
    reasons = Counter(row.reason for row in rows)
    return Outcome(tallies={"choices": tally}, metrics=reasons, preview=referent_preview(work, rows))


def decider(work: Work, knobs: ChoiceKnobs) -> Decide:
    """What chooses for the referents of an image, by `knobs.rule`."""
    if knobs.rule in ("clip", "global_local"):
        return ChoiceByScore(knobs=knobs, scorer=open_scorer(knobs, work.runtime), places=open_place_terms(knobs))
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


@dataclass(frozen=True, kw_only=True)
class ChoiceByScore:
    """The candidate that a scorer finds most similar to all expressions of a referent (S+S+C Eq. 1, spec 3).

    What place words say is added to the similarity of each expression, before the mean over expressions.
    """

    knobs: ChoiceKnobs
    scorer: Scorer
    places: PlaceTerms = NO_PLACES

    def __call__(self, offer: Offered, pixels: Pixels) -> list[ChoiceRow]:
        """Encode each needed (image, candidate) once and each expression once, then decide for every referent."""
        scoring = self._scoring(offer, pixels)
        choices = [scoring.choice(*each) for each in scoring.each]
        alone = [
            [
                scoring.choice(masks, text_D[None], term_N[None])
                for text_D, term_N in zip(texts_SD, terms_SN, strict=True)
            ]
            for masks, texts_SD, terms_SN in scoring.each
        ]
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
        said = [referent.expressions for referent in offer.referents]
        return Scoring(
            rule=rule,
            image_area=size,
            candidates=offer.candidates,
            asked=asked,
            texts=texts_D.split([len(referent.expressions) for referent in offer.referents]),
            terms=self.places(said, offer.candidates, asked, size=pixels.shape[:2]),
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
    terms: Sequence[Floats]
    """(S, N) what places add to the similarities of each referent."""
    embedded: Mapping[int, Tensor]
    """Candidate -> (D,)."""

    @property
    def each(self) -> list[tuple[Sequence[CandidateRow], Tensor, Floats]]:
        """Candidates, expressions and terms of each referent."""
        return list(zip(self.candidates, self.texts, self.terms, strict=True))

    def choice(self, masks: Sequence[CandidateRow], texts_SD: Tensor, terms_SN: Floats) -> Choice:
        """The choice among candidates by some expressions."""
        return choose(
            [mask.area for mask in masks],
            lambda rows: self.score(masks, texts_SD, terms_SN, rows),
            rule=self.rule,
            image_area=self.image_area,
        )

    def score(
        self, masks: Sequence[CandidateRow], texts_SD: Tensor, terms_SN: Floats, rows: Sequence[int]
    ) -> Sequence[float]:
        """Mean over the expressions of 100 cosine and of the term of places, of the candidates in `rows`."""
        similar = mean_similarity(texts_SD, torch.stack([self.embedded[masks[row].candidate] for row in rows]))
        terms_N = terms_SN.mean(0)
        return [one + float(terms_N[row]) for one, row in zip(similar, rows, strict=True)]

    def similarities(self) -> list[dict[int, float]]:
        """For each referent, candidate -> score, of those that compete."""
        return [
            dict(
                zip(
                    (masks[row].candidate for row in rows),
                    self.score(masks, texts_SD, terms_SN, rows) if rows else (),
                    strict=True,
                )
            )
            for (masks, texts_SD, terms_SN), rows in zip(self.each, self.asked, strict=True)
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
