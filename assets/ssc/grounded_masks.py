"""Baseline "G-DINO + SAM": the detector is asked for the expression itself (S+S+C spec 3.6)."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import Referent, images_of, scored_referents
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.ssc.knobs import GroundedKnobs
from assets.ssc.tables import GROUNDED, GroundedRow
from ops.refusal import Refused
from ops.ssc.detections import best_of_three
from resources.models.batches import InPrecision, passes
from resources.models.detection import Detector
from resources.models.loading import open_detector, open_segmenter
from resources.models.segmentation import Segmenter
from storage.digest import digest
from storage.masks import Rle


def grounded_masks(work: Work) -> Outcome:
    """SAM's best mask of the most confident box, for every expression of the scored splits."""
    images = images_of(work)
    tasks = [
        ImageTask(
            image=images[referent.image_id],
            payload=referent,
            key=digest([referent.ref_id, images[referent.image_id].sha256, referent.sent_ids, referent.expressions]),
        )
        for referent in scored_referents(work)
    ]
    return Outcome(tallies={"masks": per_image(work, GROUNDED, tasks, open_grounding)})


def open_grounding(work: Work) -> "Grounding":
    """The models of the knobs."""
    knobs = work.knobs_as(GroundedKnobs)
    return Grounding(
        detector=open_detector(knobs.detector, work.runtime),
        segmenter=open_segmenter(knobs.segmenter, work.runtime),
        in_precision=partial(passes, work.runtime, knobs.precision),
        log=work.log,
    )


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """Detector and segmenter, asked together."""

    detector: Detector
    segmenter: Segmenter
    log: Callable[[str], None]
    in_precision: InPrecision = nullcontext

    def __call__(self, referent: Referent, pixels: Pixels) -> list[GroundedRow]:
        """A mask for each expression of a referent; an empty one where the detector cannot be asked for it."""
        rows = []
        for sent_id, expression in zip(referent.sent_ids, referent.expressions, strict=True):
            score, mask = 0.0, np.zeros(pixels.shape[:2], np.bool_)
            try:
                self.detector.demand_readable(expression)
            except Refused as problem:
                self.log(f"an empty mask for sentence {sent_id}: {problem}")
            else:
                with self.in_precision():
                    box, score = self.detector.ground(pixels, expression)
                    mask = best_of_three(*self.segmenter.segment(pixels, box[None]))[0][0]
            rows.append(GroundedRow(sent_id=sent_id, detector_score=score, **Rle.of(mask).columns()))
        return rows
