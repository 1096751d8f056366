"""What TRIS made of a referent, side by side: response, selection, seeds, edges, label, Step 2, ground truth."""

from functools import cached_property

import numpy as np

from assets.data.images import Pixels
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of, scored_referents, training_referents
from assets.framework.work import Work
from assets.reports.figures import MOST_COLUMNS, PanelFigure, masked
from assets.tris.failures import Failure, failures_of
from assets.tris.load import read_irnet
from assets.tris.predict import TrisMasks, open_tris_masks
from assets.tris.response_maps import ResponseMaps, read_maps
from assets.tris.stages import REFINED_LABELS, RESPONSE_MAPS, SELECTED_RESPONSES, TRIS_PREDICTIONS, TRIS_SEGMENTER
from assets.tris.tables import LOCATED, REFINED, SEEDS, SELECTED, LocatedRow, RefinedRow, SeedRow, SelectedRow
from ops.images import to_tensor
from ops.tris.irnet import Irnet, edges_and_displacements
from ops.tris.prms import normalised_map
from ops.tris.pseudo_labels import upsampled
from ops.visualisation import Panel, heat_map, overlay
from storage.masks import Rle

FOREGROUND, BACKGROUND, IGNORED = (230, 57, 70), (29, 120, 220), (255, 183, 3)
MAPS = MOST_COLUMNS - 2
"""Response maps that stand between an image and its ground truth."""


class TrisFigures:
    """Draws referents, by their first expression where nothing else is said."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.truths = ground_truth_of(work.input(GROUND_TRUTH))

    def training(self) -> list[Referent]:
        """Referents with all that can be shown: a response, a label, and seeds where there are any."""
        shown = set(self.selected) & set(self.labels)
        if self.seeds:
            shown &= set(self.seeds)
        return [
            referent
            for referent in training_referents(self.work)
            if referent.ref_id in shown and self.maps.has(referent.sent_ids[:1])
        ]

    def ranked(self) -> list[Referent]:
        """Training referents among whose maps PRMS chose, those whose agreement differs most first."""
        gaps = {ref_id: max(row.agreement) - min(row.agreement) for ref_id, row in self.selected.items()}
        chosen = [referent for referent in training_referents(self.work) if gaps.get(referent.ref_id, 0) > 0]
        return sorted(chosen, key=lambda referent: -gaps[referent.ref_id])

    def scored(self) -> list[Referent]:
        """Referents of the scored splits with a response."""
        return [referent for referent in scored_referents(self.work) if self.maps.has(referent.sent_ids[:1])]

    def draw_training(self, referent: Referent, pixels: Pixels) -> PanelFigure:
        """Through each component, from the response to the ground truth; seeds and edges where it taught IRNet."""
        chosen = self.selected[referent.ref_id].sent_id
        first: list[Panel] = [
            ("image", pixels),
            ("Step 1", self._response(referent.sent_ids[0], pixels)),
            ("selected (PRMS)", self._response(chosen, pixels)),
        ]
        last: list[Panel] = [
            ("refined label", masked(pixels, self.labels[referent.ref_id].mask)),
            ("Step 2", masked(pixels, self.segment(referent.expressions[:1], pixels)[0].mask_HW)),
            ("ground truth", masked(pixels, self._truth(referent))),
        ]
        if referent.ref_id in self.seeds:
            first.append(("seeds", _seeded(pixels, self.seeds[referent.ref_id])))
            first.append(("edges (IRNet)", self._edges(pixels)))
        source = referent.expressions[referent.sent_ids.index(chosen)]
        of_all = f"of {len(referent.expressions)} expressions"
        return PanelFigure(
            panels=(*first, *last),
            subject=f'"{referent.expressions[0]}"',
            caption=f'"{referent.expressions[0]}"  -  PRMS selected, {of_all}, "{source}"',
        )

    def draw_maps(self, referent: Referent, pixels: Pixels) -> PanelFigure:
        """The map of each expression under its agreement with all of them (TRIS Fig. 6)."""
        row = self.selected[referent.ref_id]
        said = list(zip(referent.sent_ids, referent.expressions, row.agreement, strict=True))
        others = [one for one in said if one[0] != row.sent_id][: MAPS - 1]
        maps = [
            (f'{"selected, " if sent_id == row.sent_id else ""}{agreement:.3f}: "{text}"', sent_id)
            for sent_id, text, agreement in said
            if sent_id == row.sent_id or (sent_id, text, agreement) in others
        ]
        return PanelFigure(
            panels=(
                ("image", pixels),
                *((title, self._response(sent_id, pixels)) for title, sent_id in maps),
                ("ground truth", masked(pixels, self._truth(referent))),
            ),
            subject=f'"{referent.expressions[0]}"',
            caption=f"{len(said)} expressions{f', {len(maps)} of them shown' if len(maps) < len(said) else ''}"
            f"  -  {referent.split}",
        )

    def draw_failure(self, failure: Failure, pixels: Pixels) -> PanelFigure:
        """Both steps beside the ground truth, by the expression that failed (TRIS Fig. 7)."""
        referent, sent_id = failure.referent, failure.sent_id
        text = referent.expressions[referent.sent_ids.index(sent_id)]
        return PanelFigure(
            panels=(
                ("image", pixels),
                ("Step 1", self._response(sent_id, pixels)),
                (f"Step 2, IoU {100 * failure.iou:.1f} %", masked(pixels, self.predicted[sent_id].mask)),
                ("ground truth", masked(pixels, self._truth(referent))),
            ),
            subject=f'"{text}"',
            caption=f'{failure.kind}: "{text}"  -  {referent.split}',
        )

    def failures(self) -> list[Failure]:
        """Expressions of the scored splits with a response and a wrong mask, the worst first."""
        return failures_of(
            (one for one in scored_referents(self.work) if self.maps.has(one.sent_ids)),
            {sent_id: row.mask for sent_id, row in self.predicted.items()},
            self.truths,
        )

    def draw_scored(self, referent: Referent, pixels: Pixels) -> PanelFigure:
        """Step 1 and Step 2 beside the ground truth."""
        located = self.predicted.get(referent.sent_ids[0])
        return PanelFigure(
            panels=(
                ("image", pixels),
                ("Step 1", self._response(referent.sent_ids[0], pixels)),
                ("Step 2", masked(pixels, located.mask if located else None)),
                ("ground truth", masked(pixels, self._truth(referent))),
            ),
            subject=f'"{referent.expressions[0]}"',
            caption=f'"{referent.expressions[0]}"  -  {referent.split}',
        )

    @cached_property
    def maps(self) -> ResponseMaps:
        """Of every expression."""
        return read_maps(self.work.input(RESPONSE_MAPS))

    @cached_property
    def selected(self) -> dict[int, SelectedRow]:
        """Referent -> the response map that PRMS selected."""
        return {row.ref_id: row for row in SELECTED.rows(self.work.input(SELECTED_RESPONSES))}

    @cached_property
    def labels(self) -> dict[int, RefinedRow]:
        """Referent -> refined label."""
        return {row.ref_id: row for row in REFINED.rows(self.work.input(REFINED_LABELS))}

    @cached_property
    def seeds(self) -> dict[int, SeedRow]:
        """Referent -> its seeds, for the referents that taught IRNet."""
        refined = self.work.input(REFINED_LABELS)
        return {row.ref_id: row for row in SEEDS.rows(refined)} if refined.has("seeds.parquet") else {}

    @cached_property
    def predicted(self) -> dict[int, LocatedRow]:
        """Expression -> Step 2's mask."""
        return {row.sent_id: row for row in LOCATED.rows(self.work.input(TRIS_PREDICTIONS))}

    @cached_property
    def irnet(self) -> Irnet:
        """As it was trained."""
        return read_irnet(self.work.input(REFINED_LABELS), self.work.runtime)

    @cached_property
    def segment(self) -> TrisMasks:
        """Step 2, thresholded as the predictions are."""
        knobs = self.work.input(TRIS_PREDICTIONS).manifest.recipe["knobs"]
        return open_tris_masks(self.work.input(TRIS_SEGMENTER), self.work.runtime, threshold=knobs["threshold"])

    def _response(self, sent_id: int, pixels: Pixels) -> Pixels:
        size = (pixels.shape[0], pixels.shape[1])
        return heat_map(pixels, normalised_map(self.maps.positive([sent_id])[0], size).numpy())

    def _edges(self, pixels: Pixels) -> Pixels:
        device = next(self.irnet.parameters()).device
        edge_hw, _ = edges_and_displacements(self.irnet, to_tensor(pixels).to(device))
        return heat_map(pixels, upsampled(edge_hw[None], pixels.shape[:2])[0].cpu().numpy())

    def _truth(self, referent: Referent) -> Rle | None:
        truth = self.truths.get(referent.object_id)
        return None if truth is None else truth.mask


def _seeded(pixels: Pixels, seeds: SeedRow) -> Pixels:
    foreground_HW, ignored_HW = seeds.foreground_mask.decode(), seeds.ignored_mask.decode()
    parts_3HW = np.stack([foreground_HW, ~foreground_HW & ~ignored_HW, ignored_HW])
    return overlay(pixels, parts_3HW, colours=(FOREGROUND, BACKGROUND, IGNORED))
