"""PRMS: of the response maps of a training object, one per expression, the one that suits them all (TRIS spec 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.data.tables import Pixels, Referent, by_image, images_of, on_image, referents_of
from assets.framework.stage import Outcome, Work
from assets.tris.knobs import SelectionKnobs
from assets.tris.load import squashed
from assets.tris.previews import label_preview
from assets.tris.response_maps import ResponseMaps, read_maps
from resources.models.loading import open_scorer
from storage.digest import digest
from storage.masks import mask_row
from storage.rows import Quarantined, Rows, Unit, fill_table
from storage.tables import column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Agree = Callable[[Referent, Pixels, Tensor], NDArray[np.float64]]
    """(object, pixels, its maps) -> how well each map agrees with each expression, (M, M)."""

SELECTED = pa.schema(
    [
        column("ref_id", pa.int64(), "reference"),
        column("sent_id", pa.int64(), "expression whose map was selected"),
        column(
            "agreement",
            pa.list_(pa.float64()),
            "each map's summed cosine with all expressions, or 0 without a choice",
        ),
        column("rle", pa.binary(), "where the selected map is positive, COCO run-length encoding"),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)


def selected_responses(work: Work) -> Outcome:
    """PRMS: the response map of each training object that a frozen CLIP finds most like all its expressions.

    It presumes to know which expressions mean one object, which is known of a training set only: scored splits are not
    touched.
    """
    knobs = work.knobs_as(SelectionKnobs)
    references, maps = work.inputs["references"], read_maps(work.inputs["response_maps"])
    images, fingerprint = images_of(references), work.inputs["response_maps"].manifest.fingerprint
    agree = _judge(work, knobs, maps) if knobs.rule == "prms" else None

    def rows(batch: Sequence[list[Referent]]) -> list[Rows | Quarantined]:
        decide = partial(_decide, maps, agree)
        return [on_image(work, images[objects[0].image_id], partial(decide, objects)) for objects in batch]

    units = []
    for image_id, objects in by_image(referents_of(references, splits=work.instance.source.train)).items():
        said = [[one.ref_id, one.sent_ids, one.sentences] for one in objects]
        key = digest([fingerprint, image_id, images[image_id].sha256, said])
        units.append(Unit(key=key, payload=objects, label=image_id))
    tally = fill_table(
        work.slot, "selected", units, rows, schema=SELECTED, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )
    return Outcome(tallies={"selected": tally}, preview=label_preview(work, "selected"))


def _decide(
    maps: ResponseMaps,
    agree: Agree | None,
    objects: Sequence[Referent],
    pixels: Pixels,
) -> Rows:
    """The selected map of each object of an image; an object with one expression needs no judge."""
    from ops.evaluation.localisation import localise
    from ops.tris.prms import select

    rows: Rows = []
    for one in objects:
        if not maps.has(one.sent_ids):
            continue
        maps_Mhw = maps.positive(one.sent_ids)
        chosen, sums = 0, [0.0] * len(one.sent_ids)
        if agree is not None and len(one.sent_ids) > 1:
            agreements_MM = agree(one, pixels, maps_Mhw)
            chosen, sums = select(agreements_MM), agreements_MM.sum(1).tolist()
        found = localise(maps_Mhw[chosen], pixels.shape[:2])
        rows.append(
            {"ref_id": one.ref_id, "sent_id": one.sent_ids[chosen], "agreement": sums, **mask_row(found.mask_HW)}
        )
    return rows


def _judge(work: Work, knobs: SelectionKnobs, maps: ResponseMaps) -> Agree:
    """The frozen CLIP as a function."""
    from ops.images import normalise
    from ops.tris.prms import agreements
    from ops.tris.sizes import enlarge

    scorer, tokenizer = open_scorer(knobs.scorer, work.runtime, rule=knobs.tokens)
    device = scorer.clip.logit_scale.device

    def agree(one: Referent, pixels: Pixels, maps_Mhw: Tensor) -> NDArray[np.float64]:
        if knobs.mask == "sigmoid":
            maps_Mhw = enlarge(maps.low(one.sent_ids)[:, None], maps_Mhw.shape[-2:])[:, 0].sigmoid()
        texts_ME = scorer.embed_texts(tokenizer.encode(one.sentences)[0].to(device))
        image_3hw = normalise(squashed(pixels, maps.image_size)).to(device)
        return agreements(scorer, image_3hw, maps_Mhw.to(device), texts_ME)

    return agree
