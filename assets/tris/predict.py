"""TRIS's segmenter on the scored splits: a mask and a point for every sentence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.data.tables import Pixels, Referent
from assets.framework.stage import Outcome, Work
from assets.segmenters.predict import predict_sentences
from assets.tris.knobs import LocalisationKnobs
from assets.tris.load import read_segmenter, squashed
from storage.masks import mask_row
from storage.rows import Rows
from storage.tables import column

if TYPE_CHECKING:
    from ops.evaluation.localisation import Threshold
    from ops.tris.segmenter import TrisSegmenter
    from resources.models.tris import TrisTokenizer

PREDICTIONS = pa.schema(
    [
        column("sent_id", pa.int64(), "expression"),
        column("ref_id", pa.int64(), "reference"),
        column("row", pa.int32(), "of the largest logit at the image's own size"),
        column("column", pa.int32(), "of the largest logit"),
        column("rle", pa.binary(), "mask at the image's own size, COCO run-length encoding"),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)


def tris_predictions(work: Work) -> Outcome:
    """Step 2's mask, and the place of its largest logit, for every sentence of the scored splits."""
    model, tokenizer = read_segmenter(work.inputs["tris_segmenter"], work.runtime)
    segment = partial(segmented, model, tokenizer, work.knobs_as(LocalisationKnobs).threshold)
    return predict_sentences(work, "tris_segmenter", segment, schema=PREDICTIONS)


def segmented(
    model: TrisSegmenter,
    tokenizer: TrisTokenizer,
    threshold: Threshold,
    objects: Sequence[Referent],
    pixels: Pixels,
) -> Rows:
    """Rows of the table `masks` for every sentence of an image's objects."""
    import torch

    from ops.evaluation.localisation import localise
    from ops.tris.segmenter import segment

    said = [(one.ref_id, sent_id) for one in objects for sent_id in one.sent_ids]
    ids_ST, _ = tokenizer.encode([text for one in objects for text in one.sentences])
    picture_13SS = squashed(pixels, model.config.image_size)[None]
    logits_Shw = segment(model, picture_13SS, ids_ST, image_of_S=torch.zeros(len(said), dtype=torch.long))
    rows: Rows = []
    for (ref_id, sent_id), logits_hw in zip(said, logits_Shw, strict=True):
        found = localise(logits_hw, pixels.shape[:2], threshold=threshold)
        row, place = found.point
        rows.append({"sent_id": sent_id, "ref_id": ref_id, "row": row, "column": place, **mask_row(found.mask_HW)})
    return rows
