"""What became of an object in TRIS, side by side: response, selection, seeds, edges, label, Step 2, drawn mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.data.tables import Mask, Pixels, Referent, referents_of
from assets.evaluation.iou_scores import truths_of
from assets.framework.work import Work
from assets.reports.html import masked, row_mask
from assets.tris.load import read_irnet, read_segmenter
from assets.tris.predict import segmented
from assets.tris.response_maps import ResponseMaps, read_maps
from storage.masks import decode
from storage.rows import Rows

if TYPE_CHECKING:
    from ops.tris.irnet import Irnet
    from ops.visualisation import Panel

HEIGHT = 170
"""Of a panel, pixels."""
FOREGROUND, BACKGROUND, IGNORED = (230, 57, 70), (29, 120, 220), (255, 183, 3)


class TrisPictures:
    """Draws objects by their first expression."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.truths = truths_of(work.inputs["ground_truth"])

    def training(self) -> list[Referent]:
        """Objects with all that can be shown: a response, a label, and seeds where there are any."""
        has = [self.selected, self.labels, *([self.seeds] if self.seeds else [])]
        objects = referents_of(self.work.inputs["references"], splits=self.work.instance.source.train)
        return [one for one in objects if all(one.ref_id in rows for rows in has) and self.maps.has(one.sent_ids[:1])]

    def scored(self) -> list[Referent]:
        """Objects of the scored splits with a response."""
        objects = referents_of(self.work.inputs["references"], splits=self.work.instance.source.evaluate)
        return [one for one in objects if self.maps.has(one.sent_ids[:1])]

    def draw_training(self, one: Referent, pixels: Pixels) -> Pixels:
        """Two rows: up to the seeds, and from the edges to the drawn mask."""
        from ops.visualisation import side_by_side, stacked

        chosen = self.selected[one.ref_id]["sent_id"]
        upper: list[Panel] = [
            ("image", pixels),
            ("Step 1", self._response(one.sent_ids[0], pixels)),
            ("selected (PRMS)", self._response(chosen, pixels)),
        ]
        lower: list[Panel] = [
            ("refined label", masked(pixels, row_mask(self.labels[one.ref_id]))),
            ("Step 2", masked(pixels, self._segment(one, pixels))),
            ("ground truth", masked(pixels, self._truth(one))),
        ]
        if one.ref_id in self.seeds:
            upper.append(("seeds", _seeded(pixels, self.seeds[one.ref_id])))
            lower.insert(0, ("edges (IRNet)", self._edges(pixels)))
        source = one.sentences[one.sent_ids.index(chosen)]
        caption = f'"{one.sentences[0]}"  -  PRMS selected, of {len(one.sentences)} sentences, "{source}"'
        return stacked([side_by_side(upper, height=HEIGHT), side_by_side(lower, height=HEIGHT, caption=caption)])

    def draw_scored(self, one: Referent, pixels: Pixels) -> Pixels:
        """Step 1 and Step 2 beside the drawn mask."""
        from ops.visualisation import side_by_side

        panels: list[Panel] = [
            ("image", pixels),
            ("Step 1", self._response(one.sent_ids[0], pixels)),
            ("Step 2", masked(pixels, row_mask(self.predicted.get(one.sent_ids[0])))),
            ("ground truth", masked(pixels, self._truth(one))),
        ]
        return side_by_side(panels, height=HEIGHT, caption=f'"{one.sentences[0]}"  -  {one.split}')

    @cached_property
    def maps(self) -> ResponseMaps:
        """Of every expression."""
        return read_maps(self.work.inputs["response_maps"])

    @cached_property
    def selected(self) -> dict[int, dict[str, Any]]:
        """Reference -> row of the table `selected`."""
        return dict(self._rows("selected_responses", "selected", "ref_id"))

    @cached_property
    def labels(self) -> dict[int, dict[str, Any]]:
        """Reference -> row of the table `labels`."""
        return dict(self._rows("refined_labels", "labels", "ref_id"))

    @cached_property
    def seeds(self) -> dict[int, dict[str, Any]]:
        """Reference -> row of the table `seeds`, for the objects that taught IRNet."""
        taught = self.work.inputs["refined_labels"].has("seeds.parquet")
        return dict(self._rows("refined_labels", "seeds", "ref_id")) if taught else {}

    @cached_property
    def predicted(self) -> dict[int, dict[str, Any]]:
        """Expression -> row of the table `masks`."""
        return dict(self._rows("tris_predictions", "masks", "sent_id"))

    @cached_property
    def irnet(self) -> Irnet:
        """As it was trained."""
        return read_irnet(self.work.inputs["refined_labels"], self.work.runtime)

    @cached_property
    def segment(self) -> Callable[[Sequence[Referent], Pixels], Rows]:
        """Step 2, thresholded as the predictions are."""
        model, tokenizer = read_segmenter(self.work.inputs["tris_segmenter"], self.work.runtime)
        knobs = self.work.inputs["tris_predictions"].manifest.recipe["knobs"]
        return partial(segmented, model, tokenizer, knobs["threshold"])

    def _rows(self, stage: str, table: str, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
        return ((row[key], row) for row in self.work.inputs[stage].table(table).to_pylist())

    def _response(self, sent_id: int, pixels: Pixels) -> Pixels:
        from ops.tris.prms import saved_map
        from ops.visualisation import heat

        return heat(pixels, saved_map(self.maps.positive([sent_id])[0], pixels.shape[:2]).numpy())

    def _edges(self, pixels: Pixels) -> Pixels:
        from ops.images import to_tensor
        from ops.tris.irnet import look
        from ops.tris.pseudo_labels import enlarged
        from ops.visualisation import heat

        device = next(self.irnet.parameters()).device
        edge_hw, _ = look(self.irnet, to_tensor(pixels).to(device))
        return heat(pixels, enlarged(edge_hw[None], pixels.shape[:2])[0].cpu().numpy())

    def _segment(self, one: Referent, pixels: Pixels) -> Mask | None:
        return row_mask(self.segment([one], pixels)[0])

    def _truth(self, one: Referent) -> Mask | None:
        truth = self.truths.get(one.object_id)
        return None if truth is None else truth.mask()


def _seeded(pixels: Pixels, row: Mapping[str, Any]) -> Pixels:
    from ops.visualisation import overlay

    object_HW, ignored_HW = (decode(row[name], row["height"], row["width"]) for name in ("foreground", "ignored"))
    parts_3HW = np.stack([object_HW, ~object_HW & ~ignored_HW, ignored_HW])
    return overlay(pixels, parts_3HW, colours=(FOREGROUND, BACKGROUND, IGNORED))
