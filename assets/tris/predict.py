"""TRIS's segmenter on the scored splits: a mask and a point for every sentence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.pictures import prediction_preview
from assets.records import ObjectRecord, Pixels, by_image, images_of, objects_of, on_image
from assets.stage import Outcome, Work
from assets.tris.knobs import LocalisationKnobs
from assets.tris.models import read_segmenter, squashed
from storage.masks import mask_row
from storage.recipe import digest
from storage.rows import Quarantined, Rows, Unit, fill_table
from storage.tables import column

if TYPE_CHECKING:
    from ops.tris.scores import Threshold
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
    references = work.inputs["references"]
    images, fingerprint = images_of(references), work.inputs["tris_segmenter"].manifest.fingerprint
    look = partial(_segment, model, tokenizer, work.knobs_as(LocalisationKnobs).threshold)

    def rows(batch: Sequence[list[ObjectRecord]]) -> list[Rows | Quarantined]:
        return [on_image(work, images[objects[0].image_id], partial(look, objects)) for objects in batch]

    units = []
    for image_id, objects in by_image(objects_of(references, splits=work.instance.source.evaluate)).items():
        said = [[one.ref_id, one.sent_ids, one.sentences] for one in objects]
        key = digest([fingerprint, image_id, images[image_id].sha256, said])
        units.append(Unit(key=key, payload=objects, label=image_id))
    tally = fill_table(
        work.slot, "masks", units, rows, schema=PREDICTIONS, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )
    return Outcome(tallies={"masks": tally}, preview=prediction_preview(work))


def _segment(
    model: TrisSegmenter,
    tokenizer: TrisTokenizer,
    threshold: Threshold,
    objects: Sequence[ObjectRecord],
    pixels: Pixels,
) -> Rows:
    import torch

    from ops.tris.scores import localise
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
