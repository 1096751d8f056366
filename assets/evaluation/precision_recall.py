"""Precision and recall of all pixels over every threshold, for each trained model (MERES Fig. 4, MERES spec 7).

A threshold needs probabilities, which predictions do not keep: each model segments the scored splits once more, and
only counts of pixels per probability stay, image by image. These stages read ground truth.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import GroundTruthRow, Referent, by_image, ground_truth_of, images_of, scored_referents
from assets.evaluation.tables import AREAS, CURVE, PIXEL_COUNTS, AreaRow, CurveRow, PixelCountRow
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import precision_preview
from assets.segmenters.inference import ReferringMasks, open_referring_masks
from assets.segmenters.registry import TrainedSegmenter
from assets.stages import segmenter_traced_by
from ops.evaluation.precision_recall import PrecisionRecallState
from ops.images import resize_image, resize_labels, to_tensor
from ops.segmenters.prediction import foreground_probabilities, quarter_logits
from storage.digest import digest

WithTruth = list[tuple[Referent, GroundTruthRow]]
"""The referents of an image that have ground truth."""
Scored = Iterator[tuple[str, str, Tensor, Tensor]]
"""Split, resolution, probabilities of the foreground (S, H, W) for S expressions of a referent, its mask (H, W)."""
Probabilities = Callable[[WithTruth, Pixels], Scored]
"""(annotated referents of an image, its pixels) -> what a model says of them."""
Curves = Mapping[tuple[str, str], tuple[PrecisionRecallState, int]]
"""(split, resolution) -> pixels of all images, and how many expressions they belong to."""


def curve(work: Work) -> Outcome:
    """The pixels of the model that this stage was declared for."""
    model = segmenter_traced_by(work.instance.stage)
    return counted(work, model, open_probabilities)


def open_probabilities(work: Work) -> "ReferringProbabilities":
    """The trained model."""
    model = segmenter_traced_by(work.instance.stage)
    return ReferringProbabilities(open_referring_masks(work.input(model.trained), work.runtime))


def counted(work: Work, model: TrainedSegmenter, opens: Callable[[Work], Probabilities]) -> Outcome:
    """Count image by image and add up; resumes with the next image."""
    images, fingerprint = images_of(work), work.input(model.trained).manifest.fingerprint
    tasks = []
    for image_id, group in _annotated(work).items():
        said = [[referent.split, referent.expressions, digest([truth.rle.hex()])] for referent, truth in group]
        key = digest([fingerprint, image_id, images[image_id].sha256, said])
        tasks.append(ImageTask(image=images[image_id], payload=group, key=key))
    tally = per_image(work, PIXEL_COUNTS, tasks, partial(_open_counts, opens))
    curves = gathered(PIXEL_COUNTS.read_slot(work.slot))
    areas = _write(work, curves, method=model.method)
    metrics = {f"{row.split} {row.method} AUC-PR": row.AUC_PR for row in areas if row.resolution == "original"}
    return Outcome(tallies={"counts": tally}, metrics=metrics or {"curve": "no ground truth"}, preview=_preview(curves))


@dataclass(frozen=True)
class ReferringProbabilities:
    """Of a model that `assets.segmenters.fit` trained, at its own size and at the image's."""

    segment: ReferringMasks

    def __call__(self, group: WithTruth, pixels: Pixels) -> Scored:
        """Expressions in parts, as they fit the device."""
        size = self.segment.size
        image_3SS = resize_image(to_tensor(pixels), height=size, width=size)
        for referent, truth in group:
            ids_ST, mask_ST = self.segment.tokenizer.encode(referent.expressions)
            truth_HW = torch.from_numpy(truth.mask.decode())
            sides = {str(size): resize_labels(truth_HW, height=size, width=size), "original": truth_HW}
            for part in quarter_logits(
                self.segment.model, image_3SS, token_ids_ST=ids_ST, token_mask_ST=mask_ST, bf16=self.segment.bf16
            ):
                for side, at_side_HW in sides.items():
                    shape = (at_side_HW.shape[0], at_side_HW.shape[1])
                    yield referent.split, side, foreground_probabilities(part, shape).cpu(), at_side_HW


def _open_counts(
    opens: Callable[[Work], Probabilities], work: Work
) -> Callable[[WithTruth, Pixels], list[PixelCountRow]]:
    probabilities = opens(work)
    return lambda group, pixels: pixel_counts(probabilities(group, pixels))


def pixel_counts(scored: Scored) -> list[PixelCountRow]:
    """A row per split and resolution, of one image."""
    states: dict[tuple[str, str], tuple[PrecisionRecallState, int]] = {}
    for split, side, probabilities_SHW, truth_HW in scored:
        state, expressions = states.get((split, side), (PrecisionRecallState(), 0))
        state.update(probabilities_SHW, truth_HW.expand_as(probabilities_SHW))
        states[split, side] = state, expressions + len(probabilities_SHW)
    rows = []
    for (split, side), (state, expressions) in states.items():
        background, foreground = state.counts_2K.tolist()
        rows.append(
            PixelCountRow(
                split=split, resolution=side, expressions=expressions, background=background, foreground=foreground
            )
        )
    return rows


def gathered(rows: Iterable[PixelCountRow]) -> Curves:
    """The counts of all images, added up."""
    curves: dict[tuple[str, str], tuple[PrecisionRecallState, int]] = {}
    for row in rows:
        state, expressions = curves.get((row.split, row.resolution), (PrecisionRecallState(), 0))
        state.merge(PrecisionRecallState(np.array([row.background, row.foreground], np.int64)))
        curves[row.split, row.resolution] = state, expressions + row.expressions
    return curves


def _annotated(work: Work) -> dict[str, WithTruth]:
    """Image id -> its referents in the scored splits that have ground truth."""
    truths = ground_truth_of(work.input(GROUND_TRUTH))
    groups = {
        image_id: [(referent, truths[referent.object_id]) for referent in referents if referent.object_id in truths]
        for image_id, referents in by_image(scored_referents(work)).items()
    }
    return {image_id: group for image_id, group in groups.items() if group}


def _write(work: Work, curves: Curves, *, method: str) -> Sequence[AreaRow]:
    """The tables `curve` and `areas`; the rows of the latter."""
    points = [
        CurveRow(split=split, resolution=side, precision=precision, recall=recall)
        for (split, side), (state, _) in curves.items()
        for precision, recall in zip(*state.curve(), strict=True)
    ]
    areas = [
        AreaRow(split=split, method=method, resolution=side, expressions=expressions, AUC_PR=state.area())
        for (split, side), (state, expressions) in curves.items()
    ]
    CURVE.write(work.slot, points)
    AREAS.write(work.slot, areas)
    return areas


def _preview(curves: Curves) -> bytes | None:
    shown = {
        split: (state.curve().precision_K, state.curve().recall_K)
        for (split, side), (state, _) in curves.items()
        if side == "original"
    }
    return precision_preview(shown) if shown else None
