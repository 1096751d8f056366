"""Precision and recall of TRIS's pixels over every threshold, at the image's own size; looks at ground truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from assets.curves import Shown, counted, counts_row
from assets.records import Pixels
from assets.stage import Outcome, Work
from assets.tris.models import read_segmenter, squashed
from storage.rows import Rows

if TYPE_CHECKING:
    from ops.tris.segmenter import TrisSegmenter
    from resources.models.tris import TrisTokenizer


def tris_curve(work: Work) -> Outcome:
    """Precision and recall of the pixels of TRIS's segmenter over all thresholds, and the area below (AUC-PR)."""
    count = partial(_count, *read_segmenter(work.inputs["tris_segmenter"], work.runtime))
    return counted(work, "tris_segmenter", count, method="TRIS")


def _count(model: TrisSegmenter, tokenizer: TrisTokenizer, shown: Shown, pixels: Pixels) -> Rows:
    import torch

    from ops.decoder import upsample
    from ops.meres.curve import PixelCurve
    from ops.tris.segmenter import segment

    picture_13SS = squashed(pixels, model.config.image_size)[None]
    states: dict[str, tuple[PixelCurve, int]] = {}
    for one, truth in shown:
        drawn_HW = torch.from_numpy(truth.mask())
        ids_ST, _ = tokenizer.encode(one.sentences)
        logits_Shw = segment(model, picture_13SS, ids_ST, image_of_S=torch.zeros(len(ids_ST), dtype=torch.long))
        found_SHW = upsample(logits_Shw[:, None].float(), (drawn_HW.shape[0], drawn_HW.shape[1]))[:, 0].sigmoid().cpu()
        state, sentences = states.get(one.split, (PixelCurve(), 0))
        state.update(found_SHW, drawn_HW.expand_as(found_SHW))
        states[one.split] = state, sentences + len(found_SHW)
    return [counts_row(split, "original", *found) for split, found in states.items()]
