"""Seeds of the refinement: selected response maps, cleaned up by a dense CRF, with an ignore zone (TRIS spec 4.1).

Rows of images are shards of the refinement stage's scratch folder until its table is written.
Shapes: J referents of an image, H x W its pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import Referent, images_of
from assets.framework.work import Work
from assets.tris.knobs import RefinementKnobs
from assets.tris.response_maps import ResponseMaps, read_maps
from assets.tris.stages import RESPONSE_MAPS, SELECTED_RESPONSES
from assets.tris.tables import SEEDS, SELECTED, SeedRow
from ops.images import to_tensor
from ops.tris.crf import IGNORE, Crf, Thresholds, seed_labels
from ops.tris.prms import normalised_map
from storage.digest import digest
from storage.masks import encode
from storage.rows import Tally


@dataclass(frozen=True, kw_only=True)
class SelectedMaps:
    """The response maps, and which of them was selected for each referent."""

    maps: ResponseMaps
    selected: Mapping[int, int]
    """Referent -> expression."""

    def of(self, referents: Sequence[Referent], pixels: Pixels) -> Tensor:
        """(J, H, W) at the image's own size, each divided by its maximum (TRIS spec 3.5)."""
        height, width = pixels.shape[:2]
        positive_Jhw = self.maps.positive([self.selected[referent.ref_id] for referent in referents])
        return torch.stack([normalised_map(map_hw, (height, width)) for map_hw in positive_Jhw])


def selected_of(work: Work) -> dict[int, int]:
    """Referent -> the expression whose map was selected."""
    return {row.ref_id: row.sent_id for row in SELECTED.rows(work.input(SELECTED_RESPONSES))}


def open_maps(work: Work) -> SelectedMaps:
    """The maps that were selected."""
    return SelectedMaps(maps=read_maps(work.input(RESPONSE_MAPS)), selected=selected_of(work))


def open_seeds(work: Work) -> Callable[[Sequence[Referent], Pixels], list[SeedRow]]:
    """The rule of the knobs, and the maps."""
    return partial(seed_rows, work.knobs_as(RefinementKnobs), work.once(open_maps))


def fill_seeds(work: Work, knobs: RefinementKnobs, groups: Mapping[str, Sequence[Referent]]) -> Tally:
    """The table `seeds`, for the referents of the images in `groups`, each of which has a selected map."""
    images = images_of(work)
    fingerprint = work.input(SELECTED_RESPONSES).manifest.fingerprint
    constants = [knobs.foreground, knobs.background, knobs.smooth_xy, knobs.colour_xy]
    tasks = [
        ImageTask(
            image=images[image_id],
            payload=referents,
            key=digest(
                [fingerprint, constants, image_id, images[image_id].sha256, [referent.ref_id for referent in referents]]
            ),
        )
        for image_id, referents in groups.items()
    ]
    return per_image(work, SEEDS, tasks, open_seeds)


def seed_rows(
    knobs: RefinementKnobs, maps: SelectedMaps, referents: Sequence[Referent], pixels: Pixels
) -> list[SeedRow]:
    """A row for each referent of an image."""
    labels_JHW = seed_labels(
        to_tensor(pixels),
        maps.of(referents, pixels),
        thresholds=Thresholds(foreground=knobs.foreground, background=knobs.background),
        crf=Crf(smooth_xy=knobs.smooth_xy, colour_xy=knobs.colour_xy),
    ).numpy()
    height, width = pixels.shape[:2]
    return [
        SeedRow(
            ref_id=referent.ref_id,
            image_id=referent.image_id,
            foreground=encode(np.asarray(labels_HW == 1)),
            ignored=encode(np.asarray(labels_HW == IGNORE)),
            height=height,
            width=width,
        )
        for referent, labels_HW in zip(referents, labels_JHW, strict=True)
    ]
