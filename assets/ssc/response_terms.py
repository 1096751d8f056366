"""What TRIS's response maps say of a referent's candidates, as a term of the choice (`ops.ssc.response_contrast`).

Shapes: S expressions of a referent, N its candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from assets.data.tables import Referent
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.place_terms import Floats
from assets.ssc.tables import CandidateRow
from assets.tris.response_maps import ResponseMaps, read_maps
from ops.refusal import Refused
from ops.ssc.response_contrast import coverage, response_contrast
from storage.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class ResponseTerms:
    """Weighted contrasts of responses inside and outside of candidates."""

    weight: float
    """Points of similarity (100 * cosine) for each standard deviation of a map; 0 reads nothing."""
    maps: ResponseMaps | None = None

    def __call__(
        self,
        referents: Sequence[Referent],
        candidates: Sequence[Sequence[CandidateRow]],
        competing: Sequence[Sequence[int]],
    ) -> list[Floats]:
        """(S, N) terms of each referent of an image: zeros for an expression without a map.

        Args:
            referents: of an image.
            candidates: of each referent.
            competing: rows of each referent's candidates that are chosen among; the others get zeros.
        """
        terms = [np.zeros((len(one.expressions), len(masks))) for one, masks in zip(referents, candidates, strict=True)]
        if not self.weight or self.maps is None:
            return terms
        covered = _coverage_of(candidates, competing, side=self.maps.image_size)
        for term_SN, referent, masks, rows in zip(terms, referents, candidates, competing, strict=True):
            heard = [place for place, sent_id in enumerate(referent.sent_ids) if self.maps.has([sent_id])]
            if heard and rows:
                maps_Sss = self.maps.positive([referent.sent_ids[place] for place in heard])
                covered_Nss = torch.stack([covered[masks[row].candidate] for row in rows])
                term_SN[np.ix_(heard, list(rows))] = self.weight * response_contrast(maps_Sss, covered_Nss)
        return terms


NO_RESPONSES = ResponseTerms(weight=0.0)


def response_terms(knobs: ChoiceKnobs, response_maps: Artifact | None) -> ResponseTerms:
    """The term of the knob `responses`.

    Raises:
        Refused: it is asked for where there are no maps.
    """
    if not knobs.hears_responses:
        return NO_RESPONSES
    if response_maps is None:
        raise Refused(
            "the choice hears TRIS's responses, which are known for the images of its data set; for this image name a "
            "trained model, or an experiment with `mask_choices: {responses: 0}`"
        )
    return ResponseTerms(weight=knobs.responses, maps=read_maps(response_maps))


def _coverage_of(
    candidates: Sequence[Sequence[CandidateRow]], competing: Sequence[Sequence[int]], *, side: int
) -> dict[int, Tensor]:
    """Candidate -> its share of each pixel of the maps, of all that compete in an image."""
    needed = {
        masks[row].candidate: masks[row] for masks, rows in zip(candidates, competing, strict=True) for row in rows
    }
    if not needed:
        return {}
    masks_NHW = torch.from_numpy(np.stack([mask.mask.decode() for mask in needed.values()]))
    return dict(zip(needed, coverage(masks_NHW, size=(side, side)), strict=True))
