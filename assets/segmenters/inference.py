"""A trained segmenter on a picture that belongs to no data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from assets.data.tables import Mask, Pixels, Referent
from assets.segmenters.predict import segmenting
from assets.tris.load import read_segmenter
from assets.tris.predict import segmented
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.masks import decode
from storage.rows import Rows

if TYPE_CHECKING:
    from ops.evaluation.localisation import Threshold

TRIS = "tris_segmenter"
SEGMENTERS = ("meres_matched", "corrected", "meres", TRIS, "zs_bootstrap", "supervised")
"""The stages that leave a segmenter; where an experiment has several, the first of them is what it is about."""


def masks_for(
    trained: Artifact, pixels: Pixels, sentences: Sequence[str], runtime: Runtime, *, threshold: Threshold = "raw"
) -> list[Mask]:
    """The mask of each sentence at the picture's own size, as the stage of predictions makes them.

    Args:
        trained: of a stage among `SEGMENTERS`.
        pixels: the picture.
        sentences: each refers to one object; a mask may be empty.
        runtime: the device.
        threshold: how TRIS's logits become a mask; other models have none.
    """
    segment: Callable[[Sequence[Referent], Pixels], Rows]
    if trained.manifest.stage == TRIS:
        segment = partial(segmented, *read_segmenter(trained, runtime), threshold)
    else:
        segment = segmenting(trained, runtime)
    asked = Referent(
        ref_id=0,
        object_id="",
        image_id="",
        split="",
        sent_ids=list(range(len(sentences))),
        sentences=list(sentences),
    )
    return [decode(row["rle"], row["height"], row["width"]) for row in segment([asked], pixels)]
