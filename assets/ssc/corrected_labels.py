"""Labels out of a trained model, for other models to learn from: what S+S+C gives to every object in the end.

They are candidates, not the model's own masks: a candidate has the image's resolution and the outline that the
segmenter drew, the model's mask only that of its small square; and matching keeps two objects from sharing one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from assets.data.tables import Pixels, Referent, by_image, images_of, on_image, referents_of
from assets.framework.stage import Outcome, Work
from assets.segmenters.label_sources import all_candidates
from assets.segmenters.load import bf16_of, read_segmenter
from assets.segmenters.training_set import Encoder, Offer
from storage.digest import digest
from storage.masks import decode
from storage.rows import Quarantined, Rows, Unit, fill_table
from storage.tables import column, read_table

if TYPE_CHECKING:
    from ops.segmenters.prediction import Segmenter

LABELS = pa.schema(
    [
        column("ref_id", pa.int64(), "reference"),
        column("candidate", pa.int32(), "candidate that matching gives to the object; null: left over", nullable=True),
        column("rle", pa.binary(), "its mask, COCO run-length encoding; null: left over", nullable=True),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)


def corrected_labels(work: Work) -> Outcome:
    """The candidate that S+S+C gives to every training object in the end: one more matching by the trained model.

    Constrained and greedy (S+S+C Eq. 3), with all sentences of an object, whatever rule the model was trained by; an
    object whose candidates are all taken has no label.
    """
    references, images = work.inputs["references"], images_of(work.inputs["references"])
    sources = [work.inputs[name].manifest.fingerprint for name in ("corrected", "candidate_masks", "mask_choices")]
    offer_of = all_candidates(work)
    corrected = work.inputs["corrected"]
    give = giving(*read_segmenter(corrected, work.runtime), bf16=bf16_of(corrected, work.runtime))

    def rows(batch: Sequence[list[tuple[Referent, Offer]]]) -> list[Rows | Quarantined]:
        return [on_image(work, images[group[0][0].image_id], partial(give, group)) for group in batch]

    units = []
    for image_id, objects in by_image(referents_of(references, splits=work.instance.source.train)).items():
        said = [[one.ref_id, one.sentences] for one in objects]
        key = digest([*sources, image_id, images[image_id].sha256, said])
        units.append(Unit(key=key, payload=[(one, offer_of(one)) for one in objects], label=image_id))
    tally = fill_table(
        work.slot, "labels", units, rows, schema=LABELS, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )
    left = read_table(work.slot.content / "labels.parquet", columns=["candidate"])["candidate"].null_count
    return Outcome(tallies={"labels": tally}, metrics={"objects without a label": left})


def giving(
    model: Segmenter, tokenizer: Encoder, *, bf16: bool
) -> Callable[[Sequence[tuple[Referent, Offer]], Pixels], Rows]:
    """(objects of an image with what each may take, pixels) -> one row per object."""
    import torch

    from ops.images import resize_image, resize_labels, to_tensor
    from ops.segmenters.prediction import chances, quarter_logits
    from ops.ssc.matching import NONE, match, soft_iou
    from ops.training.dataset import usable_rows

    size = model.config.image_size

    def give(group: Sequence[tuple[Referent, Offer]], pixels: Pixels) -> Rows:
        distinct = {number: row for _, offer in group for number, row in offer.items()}
        if not distinct:
            return [_row(one, None, {}, pixels) for one, _ in group]
        numbers = list(distinct)
        stack = np.stack([decode(row["rle"], row["height"], row["width"]) for row in distinct.values()])
        masks_Khw = resize_labels(torch.from_numpy(stack), height=size, width=size)
        usable = usable_rows(masks_Khw)
        ids_ST, mask_ST = tokenizer.encode([text for one, _ in group for text in one.sentences])
        image = resize_image(to_tensor(pixels), height=size, width=size)
        quarters = quarter_logits(model, image, token_ids_ST=ids_ST, token_mask_ST=mask_ST, bf16=bf16)
        scores = [soft_iou(chances(part, (size, size)), masks_Khw.to(part.device)).cpu() for part in quarters]
        may_take = [[row for row in map(numbers.index, offer) if row in usable] for _, offer in group]
        speaker = [number for number, (one, _) in enumerate(group) for _ in one.sentences]
        matched = match(torch.cat(scores).double().numpy(), speaker, [may_take[number] for number in speaker])
        given = dict(zip(speaker, matched.candidates, strict=True))
        taken = {number: numbers[row] for number, row in given.items() if row != NONE}
        return [_row(one, taken.get(number), offer, pixels) for number, (one, offer) in enumerate(group)]

    return give


def _row(one: Referent, candidate: Hashable | None, offer: Offer, pixels: Pixels) -> dict[str, object]:
    rle = None if candidate is None else offer[candidate]["rle"]
    height, width = pixels.shape[:2]
    return {"ref_id": one.ref_id, "candidate": candidate, "rle": rle, "height": height, "width": width}
