"""Seeds of the refinement: selected response maps, cleaned up by a dense CRF, with an ignore zone (TRIS spec 4.1).

A seed row holds two masks, foreground and ignored; what is in neither is background. Rows of images are shards of the
refinement stage's scratch folder until its table is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from assets.data.tables import Pixels, Referent, images_of, on_image
from assets.framework.stage import Work
from assets.tris.knobs import RefinementKnobs
from assets.tris.response_maps import ResponseMaps
from storage.digest import digest
from storage.masks import encode
from storage.rows import Quarantined, Rows, Tally, Unit, fill_table
from storage.tables import column

if TYPE_CHECKING:
    from torch import Tensor

SEEDS = pa.schema(
    [
        column("ref_id", pa.int64(), "reference"),
        column("image_id", pa.string(), "image"),
        column("foreground", pa.binary(), "pixels that start as the object, COCO run-length encoding"),
        column("ignored", pa.binary(), "pixels that teach nothing"),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)


def selected_maps(
    maps: ResponseMaps, objects: Sequence[Referent], selected: Mapping[int, int], size: Sequence[int]
) -> Tensor:
    """(J, H, W) selected maps of an image's objects at its own size, each divided by its maximum (TRIS spec 3.5)."""
    import torch

    from ops.tris.prms import saved_map

    found = maps.positive([selected[one.ref_id] for one in objects])
    return torch.stack([saved_map(one, (size[0], size[1])) for one in found])


def fill_seeds(
    work: Work,
    knobs: RefinementKnobs,
    maps: ResponseMaps,
    selected: Mapping[int, int],
    groups: Mapping[str, Sequence[Referent]],
) -> Tally:
    """The table `seeds`, for the objects of the images in `groups`, each of which has a selected map."""
    images = images_of(work.inputs["references"])
    fingerprint = work.inputs["selected_responses"].manifest.fingerprint
    constants = [knobs.foreground, knobs.background, knobs.smooth_xy, knobs.colour_xy]

    def rows(batch: Sequence[str]) -> list[Rows | Quarantined]:
        seed = partial(_seeds, knobs, maps, selected)
        return [on_image(work, images[image_id], partial(seed, groups[image_id])) for image_id in batch]

    units = [
        Unit(
            key=digest([fingerprint, constants, image_id, images[image_id].sha256, [one.ref_id for one in objects]]),
            payload=image_id,
            label=image_id,
        )
        for image_id, objects in groups.items()
    ]
    return fill_table(
        work.slot, "seeds", units, rows, schema=SEEDS, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )


def _seeds(
    knobs: RefinementKnobs,
    maps: ResponseMaps,
    selected: Mapping[int, int],
    objects: Sequence[Referent],
    pixels: Pixels,
) -> Rows:
    from ops.images import to_tensor
    from ops.tris.crf import IGNORE, Crf, Thresholds, seed_labels

    labels_JHW = seed_labels(
        to_tensor(pixels),
        selected_maps(maps, objects, selected, pixels.shape[:2]),
        thresholds=Thresholds(foreground=knobs.foreground, background=knobs.background),
        crf=Crf(smooth_xy=knobs.smooth_xy, colour_xy=knobs.colour_xy),
    ).numpy()
    height, width = pixels.shape[:2]
    return [
        {
            "ref_id": one.ref_id,
            "image_id": one.image_id,
            "foreground": encode(np.asarray(labels_HW == 1)),
            "ignored": encode(np.asarray(labels_HW == IGNORE)),
            "height": height,
            "width": width,
        }
        for one, labels_HW in zip(objects, labels_JHW, strict=True)
    ]
