"""Precision and recall of TRIS's pixels over every threshold, at the image's own size; reads ground truth."""

from dataclasses import dataclass

import torch

from assets.data.images import Pixels
from assets.evaluation.precision_recall import Scored, WithTruth, counted
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.stages import segmenter_traced_by
from assets.tris.predict import TrisMasks, open_tris_masks
from ops.segmenters.lavt_decoder import upsample


def tris_curve(work: Work) -> Outcome:
    """The pixels of Step 2."""
    model = segmenter_traced_by(work.instance.stage)
    return counted(work, model, open_probabilities)


def open_probabilities(work: Work) -> "TrisProbabilities":
    """The trained Step 2."""
    trained = work.input(segmenter_traced_by(work.instance.stage).trained)
    return TrisProbabilities(open_tris_masks(trained, work.runtime, threshold="raw"))


@dataclass(frozen=True)
class TrisProbabilities:
    """Of a trained Step 2."""

    masks: TrisMasks

    def __call__(self, group: WithTruth, pixels: Pixels) -> Scored:
        """Logits enlarged to the image, then a sigmoid."""
        for referent, truth in group:
            truth_HW = torch.from_numpy(truth.mask.decode())
            logits_S1hw = self.masks.logits(referent.expressions, pixels)[:, None].float()
            enlarged_S1HW = upsample(logits_S1hw, (truth_HW.shape[0], truth_HW.shape[1]))
            yield referent.split, "original", enlarged_S1HW[:, 0].sigmoid().cpu(), truth_HW
