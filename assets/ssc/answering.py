"""S1 and S2 for an image of no data set: nouns, classes, candidates and the choice, as the stages make them.

Every expression is a referent of its own. As in the stage, the detector is asked once for the classes of all of them.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from assets.data.images import Mask, Pixels
from assets.data.tables import ImageRow, Referent
from assets.framework.knobs import Knobs
from assets.framework.stage import Stage
from assets.segmenters.answers import Answer
from assets.ssc.absent_objects import THRESHOLD
from assets.ssc.candidate_masks import Query, asked_of, candidate_finder
from assets.ssc.knobs import CandidateKnobs, ChoiceKnobs, NounKnobs, ProjectionKnobs
from assets.ssc.mask_choices import decider, with_threshold
from assets.ssc.noun_phrases import NounsIn, open_noun_rule
from assets.ssc.offers import Decide, Offered, offered
from assets.ssc.projected_classes import Projection, all_nouns, open_projection, query_rows
from assets.ssc.stages import CANDIDATE_MASKS, MASK_CHOICES, NOUN_PHRASES, PROJECTED_CLASSES
from assets.ssc.tables import CandidateRow, ChoiceRow
from resources.runtime import Runtime
from storage.artifact import Artifact

IMAGE = "image"
"""What the one image is called."""
Find = Callable[[Query, Pixels], list[CandidateRow]]
"""S1."""
KEPT = 16
"""Searches whose candidates are remembered."""


@dataclass(frozen=True, kw_only=True)
class ChoiceSettings:
    """The knobs of the four stages, and the threshold of absent objects where one was found."""

    nouns: NounKnobs
    projection: ProjectionKnobs
    candidates: CandidateKnobs
    choice: ChoiceKnobs
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class ChoosingMasks:
    """The models of S1 and S2."""

    settings: ChoiceSettings
    nouns_in: NounsIn
    project: Projection
    find: Find
    decide: Decide

    def __call__(self, expressions: Sequence[str], pixels: Pixels) -> list[Answer]:
        """The choice for each expression."""
        offer = self.offer(expressions, pixels)
        rows = zip(self.decide(offer, pixels), offer.candidates, strict=True)
        return [choice_answer(row, masks, pixels) for row, masks in rows]

    def offer(self, expressions: Sequence[str], pixels: Pixels) -> Offered:
        """The expressions with the candidates of each."""
        height, width = pixels.shape[:2]
        image = ImageRow(image_id=IMAGE, image_file="", width=width, height=height, sha256="")
        referents = [
            Referent(ref_id=row, object_id="", image_id=IMAGE, split="", sent_ids=[row], expressions=[text])
            for row, text in enumerate(expressions)
        ]
        distinct = list(dict.fromkeys(expressions))
        nouns = dict(zip(distinct, self.nouns_in(distinct), strict=True))
        queries = query_rows(referents, nouns, self.project(all_nouns(nouns)), self.settings.projection)
        candidates = self.find(Query(image_id=IMAGE, classes=asked_of(queries)[IMAGE]), pixels)
        usable = [candidate for candidate in candidates if candidate.area]
        return offered(image, referents, usable, {row.ref_id: row for row in queries})


def open_choosing(settings: ChoiceSettings, runtime: Runtime) -> ChoosingMasks:
    """S1 and S2 with their models.

    Raises:
        Refused: a model is not there, or does not fit the knobs.
    """
    decide = decider(settings.choice, runtime)
    return ChoosingMasks(
        settings=settings,
        nouns_in=open_noun_rule(settings.nouns),
        project=open_projection(settings.projection, runtime),
        find=remembering(candidate_finder(settings.candidates, runtime)),
        decide=decide if settings.threshold is None else with_threshold(decide, settings.threshold),
    )


def remembering(find: Find) -> Find:
    """The same, but that the last `KEPT` searches are not made again: people ask about one image again and again."""
    known: OrderedDict[tuple[str, tuple[int, ...], tuple[str, ...]], list[CandidateRow]] = OrderedDict()

    def found(query: Query, pixels: Pixels) -> list[CandidateRow]:
        key = (sha256(pixels.tobytes()).hexdigest(), pixels.shape, tuple(query.classes))
        if key not in known:
            known[key] = list(find(query, pixels))
        known.move_to_end(key)
        if len(known) > KEPT:
            known.popitem(last=False)
        return known[key]

    return found


def threshold_of(mask_choices: Artifact | None) -> float | None:
    """The threshold of absent objects that the stage found, if it looked for one."""
    found = None if mask_choices is None else mask_choices.manifest.metrics.get(THRESHOLD)
    return None if found is None else float(found)


def choice_answer(row: ChoiceRow, masks: Sequence[CandidateRow], pixels: Pixels) -> Answer:
    """What a row of the table `choices` says."""
    chosen = row.mask
    empty: Mask = np.zeros(pixels.shape[:2], np.bool_)
    return Answer(
        mask=empty if chosen is None else chosen.decode(),
        reason=row.reason,
        confidence=row.confidence,
        margin=row.margin,
        candidates=(len(row.taken), len(masks)),
    )


def settings_of(knobs: Callable[[Stage], Knobs], mask_choices: Artifact | None) -> ChoiceSettings:
    """The settings of an experiment: the knobs of its stages, and what it has calibrated so far."""
    nouns, projection, candidates, choice = map(knobs, (NOUN_PHRASES, PROJECTED_CLASSES, CANDIDATE_MASKS, MASK_CHOICES))
    assert isinstance(nouns, NounKnobs)
    assert isinstance(projection, ProjectionKnobs)
    assert isinstance(candidates, CandidateKnobs)
    assert isinstance(choice, ChoiceKnobs)
    return ChoiceSettings(
        nouns=nouns,
        projection=projection,
        candidates=candidates,
        choice=choice,
        threshold=threshold_of(mask_choices),
    )
