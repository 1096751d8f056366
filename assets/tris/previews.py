"""Small pictures of TRIS's maps and labels for the UI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.data.tables import Pixels, images_of, read_image, referents_of
from assets.framework.stage import Work
from assets.reports.previews import SHOWN
from storage.masks import decode
from storage.tables import read_table

if TYPE_CHECKING:
    from torch import Tensor


def response_preview(work: Work, positive: Callable[[Sequence[int]], Tensor]) -> bytes | None:
    """The first images, brightened where they respond to their first expression."""
    from ops.tris.prms import saved_map
    from ops.visualisation import preview_png

    images, panels = images_of(work.inputs["references"]), []
    for one in referents_of(work.inputs["references"], splits=work.instance.source.evaluate)[:SHOWN]:
        try:
            map_hw = positive(one.sent_ids[:1])[0]
        except KeyError:  # quarantined
            continue
        pixels = read_image(work, images[one.image_id])
        panels.append((one.sentences[0], _lit(pixels, saved_map(map_hw, pixels.shape[:2]).numpy())))
    return preview_png(panels) if panels else None


def label_preview(work: Work, table: str) -> bytes | None:
    """The first images of a table with `ref_id`, `rle`, `height` and `width`, with the masks of their objects."""
    from ops.visualisation import overlay, preview_png

    images = images_of(work.inputs["references"])
    objects = {one.ref_id: one for one in referents_of(work.inputs["references"])}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in read_table(work.slot.content / f"{table}.parquet").slice(0, 100).to_pylist():
        image_id = objects[row["ref_id"]].image_id
        if image_id in rows or len(rows) < SHOWN:
            rows.setdefault(image_id, []).append(row)
    panels = []
    for image_id, found in rows.items():
        masks = np.stack([decode(row["rle"], row["height"], row["width"]) for row in found])
        said = " | ".join(objects[row["ref_id"]].sentences[0] for row in found)
        panels.append((said, overlay(read_image(work, images[image_id]), masks)))
    return preview_png(panels) if panels else None


def _lit(pixels: Pixels, strength_HW: np.ndarray) -> Pixels:
    """The picture darkened to a quarter where nothing responds."""
    return (pixels * (0.25 + 0.75 * strength_HW[..., None])).astype(np.uint8)
