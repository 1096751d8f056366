"""TRIS's segmenter on the scored splits, and on the training split if asked: a mask and a point for every expression.

Shapes: S expressions of an image, h x w pixels at the model's size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from assets.data.images import Pixels
from assets.data.tables import Referent
from assets.evaluation.iou_scores import evaluated_referents
from assets.framework.knobs import Knobs
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.segmenters.answers import Answer, Segment
from assets.segmenters.inference import MODEL, known
from assets.segmenters.predict import predict_expressions
from assets.tris.knobs import LocalisationKnobs, PredictionKnobs
from assets.tris.load import read_segmenter, squashed
from assets.tris.stages import TRIS_SEGMENTER
from assets.tris.tables import LOCATED, LocatedRow
from ops.evaluation.localisation import Localisation, Threshold, localise
from ops.segmenters.prediction import mean_inside
from ops.tris.segmenter import TrisSegmenter, segment
from resources.models.tris import TrisTokenizer
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.masks import Rle


def tris_predictions(work: Work) -> Outcome:
    """Step 2's mask, and the place of its largest logit."""
    knobs = work.knobs_as(PredictionKnobs)
    training = None if knobs.training_references == "all" else knobs.training_references
    asked = evaluated_referents(work, training=training)
    return predict_expressions(work, TRIS_SEGMENTER, open_located, LOCATED, referents=asked)


def open_located(work: Work) -> Callable[[Sequence[Referent], Pixels], list[LocatedRow]]:
    """The trained Step 2."""
    threshold = work.knobs_as(PredictionKnobs).threshold
    return partial(located_rows, open_tris_masks(work.input(TRIS_SEGMENTER), work.runtime, threshold=threshold))


@dataclass(frozen=True, kw_only=True)
class TrisMasks:
    """A trained Step 2."""

    model: TrisSegmenter
    tokenizer: TrisTokenizer
    threshold: Threshold
    """How logits become a mask."""

    def logits(self, expressions: Sequence[str], pixels: Pixels) -> Tensor:
        """(S, h, w)."""
        ids_ST, _ = self.tokenizer.encode(list(expressions))
        image_13SS = squashed(pixels, self.model.config.image_size)[None]
        return segment(self.model, image_13SS, ids_ST, image_of_S=torch.zeros(len(ids_ST), dtype=torch.long))

    def __call__(self, expressions: Sequence[str], pixels: Pixels) -> list[Localisation]:
        """Mask and point of each expression at the image's own size."""
        return self.localised(self.logits(expressions, pixels), pixels)

    def localised(self, logits_Shw: Tensor, pixels: Pixels) -> list[Localisation]:
        """The same out of their logits."""
        size = (pixels.shape[0], pixels.shape[1])
        return [localise(logits_hw, size, threshold=self.threshold) for logits_hw in logits_Shw]


def open_tris_masks(trained: Artifact, runtime: Runtime, *, threshold: Threshold) -> TrisMasks:
    """The model of an artifact, on the device."""
    model, tokenizer = read_segmenter(trained, runtime)
    return TrisMasks(model=model, tokenizer=tokenizer, threshold=threshold)


def open_tris_segmenter(trained: Artifact, knobs: Knobs, runtime: Runtime) -> Segment:
    """The same for an image of no data set."""
    assert isinstance(knobs, LocalisationKnobs)
    masks = open_tris_masks(trained, runtime, threshold=knobs.threshold)

    def answers(expressions: Sequence[str], pixels: Pixels) -> list[Answer]:
        logits_Shw = masks.logits(expressions, pixels)
        sure_S = mean_inside(logits_Shw.sigmoid(), logits_Shw > 0).tolist()
        found = zip(masks.localised(logits_Shw, pixels), sure_S, strict=True)
        return [Answer(mask=located.mask_HW, reason=MODEL, confidence=known(share)) for located, share in found]

    return answers


def located_rows(masks: TrisMasks, referents: Sequence[Referent], pixels: Pixels) -> list[LocatedRow]:
    """A row for every expression of an image's referents."""
    named = [(referent.ref_id, sent_id) for referent in referents for sent_id in referent.sent_ids]
    located = masks([text for referent in referents for text in referent.expressions], pixels)
    return [
        LocatedRow(
            sent_id=sent_id,
            ref_id=ref_id,
            row=place.point[0],
            column=place.point[1],
            **Rle.of(place.mask_HW).columns(),
        )
        for (ref_id, sent_id), place in zip(named, located, strict=True)
    ]
