"""The candidates of a referent as CLIP sees them, each under its score (S+S+C Fig. 3).

torch is imported only where there is a prompt to draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.data.images import Pixels
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of
from assets.framework.work import Work
from assets.reports.figures import HEIGHT, MOST_COLUMNS, PanelFigure, figures_of, masked
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.stages import CANDIDATE_MASKS, MASK_CHOICES
from assets.ssc.tables import CandidateRow, ChoiceRow, candidates_of
from ops.ssc.consensus import Consensus
from ops.visualisation import Panel
from resources.checkpoints import MissingCheckpoint
from resources.models.refs import ModelRef

if TYPE_CHECKING:
    from resources.models.clip_images import Preparation

REFERENTS = 4
CANDIDATES = MOST_COLUMNS - 2
"""Those with the largest scores, between an image and its ground truth."""
SCORE: Mapping[Consensus, str] = {
    "mean": "the mean of 100 cosine over the expressions below",
    "product": "the logarithm of the product of the probabilities that the expressions below give to it",
    "first": "100 cosine with the first of the expressions below",
}
"""What stands above a candidate."""


@dataclass(frozen=True, kw_only=True)
class PromptsSeen:
    """Candidates of some referents."""

    score: str
    """What stands above each."""
    figures: Sequence[PanelFigure]


def prompts_seen(work: Work, referents: Sequence[Referent], choices: Mapping[int, ChoiceRow]) -> PromptsSeen | None:
    """Of the first referents that have two scores or more; None where CLIP saw no visual prompt.

    Nor where it is not known what the CLIP makes of images, since its files are gone; the run's log says so.
    """
    knobs = ChoiceKnobs(**work.input(MASK_CHOICES).manifest.recipe["knobs"])
    shown = [one for one in referents if one.ref_id in choices and len(scored(choices[one.ref_id])) > 1][:REFERENTS]
    if knobs.rule != "clip" or not shown:
        return None
    from resources.models.clip_images import preparation_of

    try:
        preparation = preparation_of(ModelRef("clip_vit", knobs.clip))
    except MissingCheckpoint as error:
        work.log(f"the page does not show what CLIP sees of the candidates: {error}")
        return None
    draw = PromptFigures(work, knobs, preparation, shown, choices).draw
    return PromptsSeen(score=SCORE[knobs.consensus], figures=figures_of(work, shown, draw))


class PromptFigures:
    """The candidates of a referent under their visual prompts, side by side."""

    def __init__(
        self,
        work: Work,
        knobs: ChoiceKnobs,
        preparation: Preparation,
        shown: Sequence[Referent],
        choices: Mapping[int, ChoiceRow],
    ) -> None:
        self.knobs, self.preparation, self.choices = knobs, preparation, choices
        self.offered = candidates_of(work.input(CANDIDATE_MASKS), image_ids=[one.image_id for one in shown])
        self.truths = ground_truth_of(work.input(GROUND_TRUTH), object_ids=[one.object_id for one in shown])

    def draw(self, referent: Referent, pixels: Pixels) -> PanelFigure:
        """Image, candidates with the largest scores, and the ground truth."""
        truth, said = self.truths.get(referent.object_id), " | ".join(f'"{text}"' for text in referent.expressions)
        choice, offered = self.choices[referent.ref_id], self.offered[referent.image_id]
        return PanelFigure(
            panels=(
                ("image", pixels),
                *seen(self.knobs, choice, offered, pixels, preparation=self.preparation),
                *((("ground truth", masked(pixels, truth.mask)),) if truth else ()),
            ),
            subject=said,
            caption=said,
        )


def scored(choice: ChoiceRow) -> dict[int, float]:
    """Candidate -> score of those with the largest scores, which come first; what was chosen is among them."""
    known = [(name, score) for name, score in zip(choice.candidates, choice.scores, strict=True) if score is not None]
    first = sorted(known, key=lambda pair: (pair[0] not in choice.taken, -pair[1]))[:CANDIDATES]
    return dict(sorted(first, key=lambda pair: -pair[1]))


def seen(
    knobs: ChoiceKnobs,
    choice: ChoiceRow,
    offered: Sequence[CandidateRow],
    pixels: Pixels,
    *,
    preparation: Preparation,
) -> list[Panel]:
    """The square that CLIP gets of each scored candidate, but for the size, which is that of the page's panels."""
    from assets.ssc.prompting import squares

    scores, masks = scored(choice), {mask.candidate: mask for mask in offered}
    given = [masks[name] for name in scores]
    titles = [f"{score:.2f}{', chosen' if name in choice.taken else ''}" for name, score in scores.items()]
    return list(zip(titles, squares(knobs, given, pixels, size=HEIGHT, preparation=preparation), strict=True))
