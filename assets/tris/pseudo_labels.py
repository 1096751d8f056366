"""Refinement: response maps become masks by IRNet, the pseudo-labels that Step 2 learns from (TRIS spec 4).

Shapes: J referents of an image, H x W its pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import Referent, by_image, images_of, training_referents
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import referent_preview
from assets.tris.irnet import train
from assets.tris.knobs import RefinementKnobs
from assets.tris.load import WEIGHTS, irnet_in
from assets.tris.seeds import SelectedMaps, fill_seeds, open_maps, selected_of
from assets.tris.stages import RESPONSE_MAPS, SELECTED_RESPONSES
from assets.tris.tables import REFINED, RefinedRow
from ops.images import to_tensor
from ops.tris.irnet import Irnet, edges_and_displacements
from ops.tris.pseudo_labels import divided_by_maximum, refined_masks
from storage.digest import digest
from storage.masks import Rle
from storage.rows import Tally

Refine = Callable[[Pixels, Tensor], Tensor]
"""(pixels, maps (J, H, W) of an image's referents) -> masks (J, H, W)."""


def refined_labels(work: Work) -> Outcome:
    """A mask for every training referent with a selected map."""
    knobs = work.knobs_as(RefinementKnobs)
    selected = selected_of(work)
    groups = by_image(referent for referent in training_referents(work) if referent.ref_id in selected)
    tallies: dict[str, Tally] = {}
    if knobs.method == "irnet":
        taught = dict(list(groups.items())[: knobs.taught_images])
        tallies["seeds"] = fill_seeds(work, knobs, taught)
        train(work, knobs)
    tallies = {"labels": _fill_labels(work, groups), **tallies}
    return Outcome(tallies=tallies, preview=referent_preview(work, REFINED.slot_rows(work.slot)))


def open_refinement(work: Work) -> Callable[[Sequence[Referent], Pixels], list[RefinedRow]]:
    """The maps, and what refines them by the knobs: the IRNet that this stage has trained, or a threshold."""
    knobs = work.knobs_as(RefinementKnobs)
    refine = partial(strong_part, threshold=knobs.threshold)
    if knobs.method == "irnet":
        net = irnet_in(work.slot.content / WEIGHTS, work.runtime)
        refine = partial(random_walk, net, threshold=knobs.threshold)
    return partial(refined_rows, work.once(open_maps), refine)


def refined_rows(maps: SelectedMaps, refine: Refine, referents: Sequence[Referent], pixels: Pixels) -> list[RefinedRow]:
    """A mask for each referent of an image."""
    masks_JHW = refine(pixels, maps.of(referents, pixels)).cpu().numpy()
    pairs = zip(referents, masks_JHW, strict=True)
    return [RefinedRow(ref_id=referent.ref_id, **Rle.of(mask_HW).columns()) for referent, mask_HW in pairs]


def _fill_labels(work: Work, groups: Mapping[str, Sequence[Referent]]) -> Tally:
    images = images_of(work)
    inputs = [work.input(stage).manifest.fingerprint for stage in (SELECTED_RESPONSES, RESPONSE_MAPS)]
    # Other objects teach IRNet too: rows may be copied from an artifact of the same inputs only.
    tasks = [
        ImageTask(image=images[image_id], payload=referents, key=digest([inputs, image_id]))
        for image_id, referents in groups.items()
    ]
    return per_image(replace(work, reuse=()), REFINED, tasks, open_refinement)


def random_walk(net: Irnet, pixels: Pixels, maps_JHW: Tensor, *, threshold: float) -> Tensor:
    """Maps walk between the edges that IRNet sees, and are cut at a threshold (TRIS spec 4.5, 4.6)."""
    device = next(net.parameters()).device
    edge_hw, displacement_2hw = edges_and_displacements(net, to_tensor(pixels).to(device))
    return refined_masks(maps_JHW.to(device), edge_hw, displacement_2hw, threshold=threshold)


def strong_part(_: Pixels, maps_JHW: Tensor, *, threshold: float) -> Tensor:
    """Where a map exceeds a share of its maximum, without any refinement."""
    return divided_by_maximum(maps_JHW) > threshold
