"""The candidates of a referent as CLIP sees them, each under its score (S+S+C Fig. 3).

Shapes: N candidates, H x W pixels, S the side of a square.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from assets.data.images import Pixels
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of
from assets.framework.work import Work
from assets.reports.figures import HEIGHT, MOST_COLUMNS, PanelFigure, figures_of, masked
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.prompting import decoded, prompted
from assets.ssc.stages import CANDIDATE_MASKS, MASK_CHOICES
from assets.ssc.tables import CandidateRow, ChoiceRow, candidates_of
from ops.images import to_tensor
from ops.visualisation import Panel

REFERENTS = 4
CANDIDATES = MOST_COLUMNS - 2
"""Those with the largest scores, between an image and its ground truth."""


def prompts_seen(work: Work, referents: Sequence[Referent], choices: Mapping[int, ChoiceRow]) -> list[PanelFigure]:
    """Of the first referents that have two scores or more; none where CLIP saw no visual prompt."""
    knobs = ChoiceKnobs(**work.input(MASK_CHOICES).manifest.recipe["knobs"])
    if knobs.rule != "clip":
        return []
    shown = [one for one in referents if one.ref_id in choices and len(scored(choices[one.ref_id])) > 1][:REFERENTS]
    offered = candidates_of(work.input(CANDIDATE_MASKS), image_ids=[one.image_id for one in shown])
    truths = ground_truth_of(work.input(GROUND_TRUTH), object_ids=[one.object_id for one in shown])

    def draw(referent: Referent, pixels: Pixels) -> PanelFigure:
        truth = truths.get(referent.object_id)
        return PanelFigure(
            panels=(
                ("image", pixels),
                *seen(knobs, choices[referent.ref_id], offered[referent.image_id], pixels),
                *((("ground truth", masked(pixels, truth.mask)),) if truth else ()),
            ),
            subject=" | ".join(f'"{text}"' for text in referent.expressions),
            caption=" | ".join(f'"{text}"' for text in referent.expressions),
        )

    return figures_of(work, shown, draw)


def scored(choice: ChoiceRow) -> dict[int, float]:
    """Candidate -> score of those with the largest scores, which come first."""
    known = [(name, score) for name, score in zip(choice.candidates, choice.scores, strict=True) if score is not None]
    return dict(sorted(known, key=lambda pair: -pair[1])[:CANDIDATES])


def seen(knobs: ChoiceKnobs, choice: ChoiceRow, offered: Sequence[CandidateRow], pixels: Pixels) -> list[Panel]:
    """The square that CLIP gets of each scored candidate, but for the size, which is that of the page's panels."""
    from resources.models.clip_images import OPENAI, prepare_images  # open_clip, which other pages do without

    scores, masks = scored(choice), {mask.candidate: mask for mask in offered}
    shown_N3HW = prompted(knobs, to_tensor(pixels), decoded([masks[name] for name in scores]))
    squares_N3SS = prepare_images(shown_N3HW, size=HEIGHT, crop=knobs.crop)
    colours_N3SS = 255 * (
        squares_N3SS * torch.tensor(OPENAI.std).view(3, 1, 1) + torch.tensor(OPENAI.mean).view(3, 1, 1)
    )
    pictures_NSS3 = colours_N3SS.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    titles = [f"{score:.2f}{', chosen' if name in choice.taken else ''}" for name, score in scores.items()]
    return [(title, np.ascontiguousarray(picture)) for title, picture in zip(titles, pictures_NSS3, strict=True)]
