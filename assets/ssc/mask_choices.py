"""S2: which candidate mask a referent's expressions mean.

Shapes: S expressions of a referent, N its candidates, J referents of an image, K its candidates, D embedding width.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import ImageRow, Referent, by_image, images_of, referents_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import referent_preview
from assets.ssc.absent_objects import Absence, calibrated
from assets.ssc.clip_scorers import Scorer, open_scorer
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.offers import Decide, Offered, offered
from assets.ssc.place_terms import NO_PLACES, PlaceTerms, open_place_terms
from assets.ssc.response_terms import NO_RESPONSES, ResponseTerms, response_terms
from assets.ssc.reviewed_choices import rule_table, with_reviews
from assets.ssc.scoring import Needs, Scoring, only_choice
from assets.ssc.stages import CANDIDATE_MASKS, PROJECTED_CLASSES
from assets.ssc.tables import (
    CHOICES,
    CandidateRow,
    ChoiceRow,
    QueryRow,
    SeveralRow,
    candidates_of,
    queries_of,
)
from assets.ssc.teacher_choices import choices_of_teacher
from assets.tris.stages import RESPONSE_MAPS
from ops.refusal import Refused
from ops.ssc.mask_selection import (
    COMPAT,
    FIXED,
    Choice,
    first_choice,
    indices_to_score,
    random_choice,
)
from ops.ssc.matching import Rule as MatchingRule
from ops.ssc.matching import match
from ops.ssc.plurals import Said, agreed, numbers_said, several_best
from resources.models.loading import open_parser
from resources.models.spacy_parser import parse_all
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.digest import digest
from storage.masks import Rle

CountSaid = Callable[[Sequence[str]], list[Said]]
"""Expressions -> how many objects each asks for."""


def mask_choices(work: Work) -> Outcome:
    """One choice for each referent, and what each expression alone would choose."""
    images, candidates = images_of(work), candidates_of(work.input(CANDIDATE_MASKS))
    queries, knobs = queries_of(work.input(PROJECTED_CLASSES)), work.knobs_as(ChoiceKnobs)
    offers = [
        offered(images[image_id], referents, candidates.get(image_id, []), queries)
        for image_id, referents in by_image(referents_of(work)).items()
    ]
    if knobs.imports:
        return choices_of_teacher(work, offers, choice_row)
    absence = _absence(work, offers, queries)
    threshold = absence.found.threshold if absence else None
    maps = maps_of(work)
    tasks = [ImageTask(image=offer.image, payload=offer, key=_key(offer, threshold, knobs, maps)) for offer in offers]
    opens = partial(open_decider, threshold=threshold)
    tally = per_image(work, rule_table(knobs), tasks, opens, earlier=CHOICES.name)
    tallies = with_reviews(work, tally)
    reasons = Counter(row.reason for row in CHOICES.slot_rows(work.slot))
    return Outcome(
        tallies={**tallies, **({"absence": absence.tally} if absence else {})},
        metrics={**reasons, **(absence.metrics() if absence else {})},
        preview=referent_preview(work, CHOICES.slot_rows(work.slot)),
    )


def maps_of(work: Work) -> Artifact | None:
    """TRIS's responses, where the choice hears them."""
    return work.input(RESPONSE_MAPS) if work.has(RESPONSE_MAPS) else None


def open_rule(work: Work) -> Decide:
    """What chooses by the knobs of the stage that runs; none is absent."""
    return decider(work.knobs_as(ChoiceKnobs), work.runtime, response_maps=maps_of(work))


def open_decider(work: Work, *, threshold: float | None) -> Decide:
    """The same, where what scores below a threshold is absent, if there is one."""
    decide = work.once(open_rule)
    return decide if threshold is None else with_threshold(decide, threshold)


def open_alone(work: Work) -> Decide:
    """The same, where each sentence is judged by itself and none is absent."""
    decide = work.once(open_rule)
    assert isinstance(decide, ChoiceByScore)
    each = decide.knobs.model_copy(update={"assign": "each", "consensus": "mean"})
    return replace(decide, knobs=each, count=None, places=NO_PLACES, responses=NO_RESPONSES, threshold=-math.inf)


def decider(
    knobs: ChoiceKnobs,
    runtime: Runtime,
    *,
    response_maps: Artifact | None = None,
) -> Decide:
    """What chooses for the referents of an image, by `knobs.rule`; none is absent.

    Raises:
        Refused: a model is missing, or what the knobs want to hear is not known for such an image.
    """
    if knobs.imports:
        raise Refused(f"{knobs.teacher} chose for its own images; this one needs a trained model")
    if not scores(knobs):
        return BlindChoice(knobs)
    responses = response_terms(knobs, response_maps)
    scorer = open_scorer(knobs, runtime)
    by_score = ChoiceByScore(knobs=knobs, scorer=scorer, places=open_place_terms(knobs), responses=responses)
    if knobs.plural == "one":
        return by_score
    parse = partial(parse_all, open_parser(knobs.parser))
    return replace(by_score, count=lambda expressions: numbers_said(expressions, parse))


def scores(knobs: ChoiceKnobs) -> bool:
    """Whether candidates are compared with expressions."""
    return knobs.rule in ("clip", "global_local")


def with_threshold(decide: Decide, threshold: float) -> Decide:
    """The same, but that what scores below a threshold is absent (`ops.ssc.absence`), and that every choice is scored.

    Blind choices have no score and stay.
    """
    return replace(decide, threshold=threshold) if isinstance(decide, ChoiceByScore) else decide


def _absence(work: Work, offers: Sequence[Offered], queries: Mapping[int, QueryRow]) -> Absence | None:
    """The threshold of absent objects, where the knob asks for one."""
    knobs = work.knobs_as(ChoiceKnobs)
    if knobs.absent is None or not scores(knobs):
        return None
    return calibrated(work, offers, queries, open_alone, keep=knobs.absent, seed=knobs.seed)


def _key(offer: Offered, threshold: float | None, knobs: ChoiceKnobs, maps: Artifact | None) -> str:
    key = offer.placed_key if knobs.places else offer.key
    if maps is not None:
        key = digest([key, maps.manifest.fingerprint])
    return key if threshold is None else digest([key, threshold])


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

    What place words and TRIS's responses say is added to the similarity of each expression, before they agree.
    """

    knobs: ChoiceKnobs
    scorer: Scorer
    places: PlaceTerms = NO_PLACES
    responses: ResponseTerms = NO_RESPONSES
    threshold: float | None = None
    """Similarity below which an object is absent; None: no object is."""
    count: CountSaid | None = None
    """How many objects expressions ask for; None: each asks for one."""

    @property
    def at_once(self) -> int:
        """Images that share a pass, where the CLIP is a published one."""
        return self.scorer.at_once

    def __call__(self, offer: Offered, pixels: Pixels) -> list[ChoiceRow]:
        """Encode each needed (image, candidate) once and each expression once, then decide for every referent."""
        (scoring,) = self._scorings([(offer, pixels)])
        return self._rows(offer, scoring)

    def several(self, shown: Sequence[tuple[Offered, Pixels]]) -> list[Callable[[], list[ChoiceRow]]]:
        """The same for several images, encoded together; of each, what gives its rows."""
        offers = [offer for offer, _ in shown]
        return [partial(list, self._rows(*each)) for each in zip(offers, self._scorings(shown), strict=True)]

    def _rows(self, offer: Offered, scoring: Scoring) -> list[ChoiceRow]:
        choices = [scoring.choice(*each) for each in scoring.each]
        alone = [
            [
                scoring.choice(masks, text_D[None], term_N[None])
                for text_D, term_N in zip(texts_SD, terms_SN, strict=True)
            ]
            for masks, texts_SD, terms_SN in scoring.each
        ]
        if self.knobs.assign != "each":
            competing = zip(choices, scoring.similarities(), strict=True)
            similar = [scores if choice.index >= 0 else {} for choice, scores in competing]
            choices = matched_choices(choices, similar, offer.candidates, rule=self.knobs.assign)
        each = zip(offer.referents, offer.candidates, choices, alone, strict=True)
        rows = [choice_row(offer.image, referent, masks, choice, single) for referent, masks, choice, single in each]
        return rows if self.count is None else self._several(offer, choices, rows)

    def _several(self, offer: Offered, choices: Sequence[Choice], rows: Sequence[ChoiceRow]) -> list[ChoiceRow]:
        """The rows with the union of all candidates that are meant."""
        assert self.count is not None
        said = iter(self.count([text for referent in offer.referents for text in referent.expressions]))
        several: list[ChoiceRow] = []
        for referent, masks, choice, row in zip(offer.referents, offer.candidates, choices, rows, strict=True):
            together = agreed([next(said) for _ in referent.expressions])
            several.append(several_row(row, masks, choice, together, margin=self.knobs.plural_margin))
        return several

    def _scorings(self, shown: Sequence[tuple[Offered, Pixels]]) -> list[Scoring]:
        """What the scorer sees in each image; expressions, and the candidates that need a score, of all together."""
        needs = [self._needs(offer, pixels) for offer, pixels in shown]
        views = [(pixels, [*need.masks.values()]) for (_, pixels), need in zip(shown, needs, strict=True) if need.masks]
        said = [[text for referent in offer.referents for text in referent.expressions] for offer, _ in shown]
        texts = [text for texts in said for text in texts]
        texts_D = self.scorer.texts(texts) if views else torch.empty(len(texts), 0)
        seen = iter(self.scorer.images(views) if views else ())
        return [
            self._scoring(offer, need, texts_of_it, next(seen) if need.masks else ())
            for (offer, _), need, texts_of_it in zip(shown, needs, texts_D.split([*map(len, said)]), strict=True)
        ]

    def _needs(self, offer: Offered, pixels: Pixels) -> Needs:
        rule = replace(COMPAT if self.knobs.compat else FIXED, min_area=self.knobs.min_area)
        size = pixels.shape[0] * pixels.shape[1]
        areas = [[mask.area for mask in masks] for masks in offer.candidates]
        asked = [indices_to_score(areas_N, rule=rule, image_area=size) for areas_N in areas]
        if self.knobs.assign != "each" or self.threshold is not None:  # what would be chosen without a score, too
            asked = [rows or only_choice(areas_N, rule, size) for rows, areas_N in zip(asked, areas, strict=True)]
        needed = {
            masks[row].candidate: masks[row]
            for masks, rows in zip(offer.candidates, asked, strict=True)
            for row in rows
        }
        return Needs(rule=rule, size=pixels.shape[:2], asked=asked, masks=needed)

    def _scoring(self, offer: Offered, need: Needs, texts_D: Tensor, seen: Iterable[Tensor]) -> Scoring:
        said = [referent.expressions for referent in offer.referents]
        placed = self.places(said, offer.candidates, need.asked, size=need.size)
        responding = self.responses(offer.referents, offer.candidates, need.asked)
        return Scoring(
            rule=need.rule,
            image_area=need.size[0] * need.size[1],
            candidates=offer.candidates,
            asked=need.asked,
            texts=texts_D.split([*map(len, said)]),
            terms=[place_SN + response_SN for place_SN, response_SN in zip(placed, responding, strict=True)],
            embedded=dict(zip(need.masks, seen, strict=True)),
            threshold=self.threshold,
            consensus=self.knobs.consensus,
        )


def matched_choices(
    choices: Sequence[Choice],
    similar: Sequence[Mapping[int, float]],
    candidates: Sequence[Sequence[CandidateRow]],
    *,
    rule: MatchingRule = "greedy",
) -> list[Choice]:
    """Choices of an image's referents by constrained matching (spec 3.7); left-overs keep their own best."""
    names = sorted({name for scores in similar for name in scores})
    scores_JK = np.array([[scores.get(name, 0.0) for name in names] for scores in similar]).reshape(len(choices), -1)
    allowed = [[names.index(name) for name in scores] for scores in similar]
    places = match(scores_JK, range(len(choices)), allowed, rule=rule, leftovers="fallback_best").candidates
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


def several_row(
    row: ChoiceRow, masks: Sequence[CandidateRow], choice: Choice, said: Said, *, margin: float
) -> SeveralRow:
    """The row with the union of the candidates that an expression means; of the chosen one alone, or of none."""
    index = choice.index
    taken = [masks[one] for one in several_best(choice.scores_N, index, said, margin=margin)] if index >= 0 else []
    union = Rle.union([mask.mask for mask in taken], height=row.height, width=row.width).counts
    given = {**CHOICES.columns(row), "rle": union if len(taken) > 1 else row.rle}
    return SeveralRow(**given, together=[mask.candidate for mask in taken])
