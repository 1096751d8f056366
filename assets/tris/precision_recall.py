"""Precision and recall of TRIS's pixels over every threshold, at the image's own size; looks at ground truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from assets.data.tables import Pixels
from assets.evaluation.precision_recall import Judged, Shown, counted
from assets.framework.stage import Outcome, Work
from assets.tris.load import read_segmenter, squashed

if TYPE_CHECKING:
    from ops.tris.segmenter import TrisSegmenter
    from resources.models.tris import TrisTokenizer


def tris_curve(work: Work) -> Outcome:
    """Precision and recall of the pixels of TRIS's segmenter over all thresholds, and the area below (AUC-PR)."""
    judge = partial(_judged, *read_segmenter(work.inputs["tris_segmenter"], work.runtime))
    return counted(work, "tris_segmenter", judge, method="TRIS")


def _judged(model: TrisSegmenter, tokenizer: TrisTokenizer, shown: Shown, pixels: Pixels) -> Judged:
    import torch

    from ops.segmenters.lavt_decoder import upsample
    from ops.tris.segmenter import segment

    picture_13SS = squashed(pixels, model.config.image_size)[None]
    for one, truth in shown:
        drawn_HW = torch.from_numpy(truth.mask())
        ids_ST, _ = tokenizer.encode(one.sentences)
        logits_Shw = segment(model, picture_13SS, ids_ST, image_of_S=torch.zeros(len(ids_ST), dtype=torch.long))
        found_S1HW = upsample(logits_Shw[:, None].float(), (drawn_HW.shape[0], drawn_HW.shape[1]))
        yield one.split, "original", found_S1HW[:, 0].sigmoid().cpu(), drawn_HW
