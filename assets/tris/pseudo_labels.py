"""Refinement: response maps become masks by IRNet, the pseudo-labels that Step 2 learns from (TRIS spec 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.data.tables import Pixels, Referent, by_image, images_of, on_image, referents_of
from assets.framework.stage import Outcome, Work
from assets.tris.irnet import trained_irnet
from assets.tris.knobs import RefinementKnobs
from assets.tris.previews import label_preview
from assets.tris.response_maps import ResponseMaps, read_maps
from assets.tris.seeds import fill_seeds, selected_maps
from storage.digest import digest
from storage.masks import mask_row
from storage.rows import Quarantined, Rows, Tally, Unit, fill_table
from storage.tables import column

if TYPE_CHECKING:
    from torch import Tensor

    from ops.tris.irnet import Irnet

    Refine = Callable[[Pixels, Tensor], Tensor]
    """(pixels, maps (J, H, W) of an image's objects) -> masks (J, H, W)."""

LABELS = pa.schema(
    [
        column("ref_id", pa.int64(), "reference"),
        column("rle", pa.binary(), "pseudo-label, COCO run-length encoding; empty where there is no response"),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)


def refined_labels(work: Work) -> Outcome:
    """Pseudo-labels: IRNet learns edges and displacements from seeds, and selected maps walk between them.

    Three parts that each resume after a kill: seeds by a dense CRF (the table `seeds`), training (checkpoints), and the
    random walk (the table `labels`). The method `none` takes the strong part of a selected map as it is.
    """
    knobs = work.knobs_as(RefinementKnobs)
    maps = read_maps(work.inputs["response_maps"])
    rows = work.inputs["selected_responses"].table("selected", columns=["ref_id", "sent_id"]).to_pylist()
    selected = {row["ref_id"]: row["sent_id"] for row in rows}
    objects = referents_of(work.inputs["references"], splits=work.instance.source.train)
    groups = by_image(one for one in objects if one.ref_id in selected)
    tallies: dict[str, Tally] = {}
    refine = partial(_strong_part, threshold=knobs.threshold)
    if knobs.method == "irnet":
        taught = dict(list(groups.items())[: knobs.taught_images])
        tallies["seeds"] = fill_seeds(work, knobs, maps, selected, taught)
        refine = partial(_walked, trained_irnet(work, knobs), threshold=knobs.threshold)
    tallies = {"labels": _fill_labels(work, maps, selected, groups, refine), **tallies}
    return Outcome(tallies=tallies, preview=label_preview(work, "labels"))


def _fill_labels(
    work: Work,
    maps: ResponseMaps,
    selected: Mapping[int, int],
    groups: Mapping[str, Sequence[Referent]],
    refine: Refine,
) -> Tally:
    images = images_of(work.inputs["references"])
    inputs = [work.inputs[name].manifest.fingerprint for name in ("selected_responses", "response_maps")]

    def label(objects: Sequence[Referent], pixels: Pixels) -> Rows:
        masks_JHW = refine(pixels, selected_maps(maps, objects, selected, pixels.shape[:2])).cpu().numpy()
        return [{"ref_id": one.ref_id, **mask_row(mask_HW)} for one, mask_HW in zip(objects, masks_JHW, strict=True)]

    def rows(batch: Sequence[str]) -> list[Rows | Quarantined]:
        return [on_image(work, images[image_id], partial(label, groups[image_id])) for image_id in batch]

    # Other objects teach IRNet too: rows may be copied from an artifact of the same inputs only.
    units = [Unit(key=digest([inputs, image_id]), payload=image_id, label=image_id) for image_id in groups]
    return fill_table(work.slot, "labels", units, rows, schema=LABELS, shard=work.runtime.shard, log=work.log)


def _walked(net: Irnet, pixels: Pixels, maps_JHW: Tensor, *, threshold: float) -> Tensor:
    from ops.images import to_tensor
    from ops.tris.irnet import look
    from ops.tris.pseudo_labels import refined_masks

    device = next(net.parameters()).device
    edge_hw, displacement_2hw = look(net, to_tensor(pixels).to(device))
    return refined_masks(maps_JHW.to(device), edge_hw, displacement_2hw, threshold=threshold)


def _strong_part(_: Pixels, maps_JHW: Tensor, *, threshold: float) -> Tensor:
    from ops.tris.pseudo_labels import relative

    return relative(maps_JHW) > threshold
