"""What the place words of expressions say of a referent's candidates, as a term of the choice (ops/ssc/PLACES.md).

Shapes: S expressions of a referent, N its candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.tables import CandidateRow
from ops.boxes import tight_box
from ops.ssc.places.geometry import Scene, scene_of
from ops.ssc.places.grammar import read_all
from ops.ssc.places.nouns import kinds_of
from ops.ssc.places.phrases import ParseWords
from ops.ssc.places.term import place_term
from resources.models.loading import open_parser
from resources.models.spacy_parser import parse_words
from storage.masks import decode

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PlaceTerms:
    """The weighted log-probabilities that place words give."""

    weight: float
    """Points of similarity (100 * cosine, CLIP's own logits) for each nat; 0 reads nothing."""
    parse: ParseWords | None = None

    def __call__(
        self,
        expressions: Sequence[Sequence[str]],
        candidates: Sequence[Sequence[CandidateRow]],
        competing: Sequence[Sequence[int]],
        *,
        size: tuple[int, int],
    ) -> list[Floats]:
        """(S, N) terms of each referent of an image: zeros for an expression without places.

        Args:
            expressions: of each referent.
            candidates: of each referent; those of all are the landmarks of each.
            competing: rows of each referent's candidates that are chosen among; the others get zeros.
            size: height and width of the image.
        """
        zeros = [np.zeros((len(said), len(masks))) for said, masks in zip(expressions, candidates, strict=True)]
        if not self.weight:
            return zeros
        scene, boxes = _scene_of(candidates, size)
        for terms_SN, said, masks, rows in zip(zeros, expressions, candidates, competing, strict=True):
            among = [boxes[masks[row].candidate] for row in rows]
            for term_N, reading in zip(terms_SN, read_all(said, self.parse), strict=True):
                term_N[list(rows)] = self.weight * place_term(reading, scene, among)
        return zeros


NO_PLACES = PlaceTerms(weight=0.0)


def open_place_terms(knobs: ChoiceKnobs) -> PlaceTerms:
    """The term of the knob `places`, with its parser."""
    parse = partial(parse_words, open_parser(knobs.parser)) if knobs.places else None
    return PlaceTerms(weight=knobs.places, parse=parse)


def _scene_of(candidates: Sequence[Sequence[CandidateRow]], size: tuple[int, int]) -> tuple[Scene, dict[int, int]]:
    """All candidates of an image, each once, and where each stands among the boxes."""
    masks = {mask.candidate: mask for offered in candidates for mask in offered}
    boxes = [box_of(mask) for mask in masks.values()]
    kinds = [kinds_of(mask.label) or frozenset({mask.label} - {""}) for mask in masks.values()]
    height, width = size
    return scene_of(boxes, (width, height), kinds), {candidate: number for number, candidate in enumerate(masks)}


def box_of(mask: CandidateRow) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1: the detector's box, or the tight one of a mask that has none."""
    if mask.x0 is not None and mask.y0 is not None and mask.x1 is not None and mask.y1 is not None:
        return mask.x0, mask.y0, mask.x1, mask.y1
    return tight_box(decode(mask.rle, mask.height, mask.width)) or (0.0, 0.0, 0.0, 0.0)
