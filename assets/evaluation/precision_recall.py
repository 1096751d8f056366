"""Precision and recall of all pixels over every threshold, for each trained model (MERES Fig. 4; spec 7).

A threshold needs probabilities, which predictions do not keep: each model looks at the scored splits once more, and
only counts of pixels per probability stay, image by image. These stages look at ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assets.data.tables import Pixels, Referent, by_image, images_of, on_image, referents_of
from assets.evaluation.iou_scores import Truth, truths_of
from assets.framework.stage import Outcome, Work
from assets.reports.previews import precision_preview
from assets.segmenters.load import bf16_of, read_segmenter
from assets.segmenters.training_set import Encoder
from storage.digest import digest
from storage.rows import Quarantined, Rows, Unit, fill_table
from storage.tables import column, read_table, write_table

if TYPE_CHECKING:
    from torch import Tensor

    from ops.evaluation.precision_recall import PixelCurve
    from ops.segmenters.prediction import Segmenter

COUNTS = pa.schema(
    [
        column("split", pa.string(), "split"),
        column("resolution", pa.string(), "`original`, or the side of the model's square in pixels"),
        column("expressions", pa.int64(), "sentences of the image"),
        column("background", pa.list_(pa.int64()), "pixels outside of the drawn masks, per probability 0, 0.001 ... 1"),
        column("foreground", pa.list_(pa.int64()), "pixels inside of them"),
    ]
)
CURVE = pa.schema(
    [
        column("split", pa.string(), "split"),
        column("resolution", pa.string(), "`original`, or the side of the model's square in pixels"),
        column("precision", pa.float64(), "share of the pixels above a threshold that are inside of the drawn mask"),
        column("recall", pa.float64(), "share of the drawn masks' pixels above it; thresholds fall"),
    ]
)
AREAS = pa.schema(
    [
        column("split", pa.string(), "split"),
        column("method", pa.string(), "whose probabilities"),
        column("resolution", pa.string(), "`original`, or the side of the model's square in pixels"),
        column("expressions", pa.int64(), "how many were counted"),
        column("AUC_PR", pa.float64(), "sum over thresholds of the gain in recall times the precision"),
    ]
)
Shown = list[tuple[Referent, Truth]]
"""The objects of an image that are drawn."""
Judged = Iterator[tuple[str, str, "Tensor", "Tensor"]]
"""Split, resolution, probabilities of the foreground (S, H, W) for S sentences of an object, and its mask (H, W)."""
Judge = Callable[[Shown, Pixels], Judged]
"""(drawn objects of an image, its pixels) -> what a model says of them."""


def curve(work: Work) -> Outcome:
    """Precision and recall of ZSBootstrap's pixels over all thresholds, and the area below (AUC-PR)."""
    return curve_of(work, "zs_bootstrap", method="ZSBootstrap")


def corrected_curve(work: Work) -> Outcome:
    """Precision and recall of the pixels of S+S+C over all thresholds, and the area below (AUC-PR)."""
    return curve_of(work, "corrected", method="S+S+C")


def supervised_curve(work: Work) -> Outcome:
    """Precision and recall of fully supervised LAVT's pixels over all thresholds, and the area below (AUC-PR)."""
    return curve_of(work, "supervised", method="supervised")


def meres_curve(work: Work) -> Outcome:
    """Precision and recall of the pixels of MERES over all thresholds, and the area below (AUC-PR)."""
    return curve_of(work, "meres", method="MERES")


def meres_matched_curve(work: Work) -> Outcome:
    """Precision and recall of the pixels of matched MERES over all thresholds, and the area below (AUC-PR)."""
    return curve_of(work, "meres_matched", method="MERES, matched")


def curve_of(work: Work, trained: str, *, method: str) -> Outcome:
    """Count the pixels of the model that the stage `trained` trained."""
    model, tokenizer = read_segmenter(work.inputs[trained], work.runtime)
    judge = partial(_judged, model, tokenizer, bf16_of(work.inputs[trained], work.runtime))
    return counted(work, trained, judge, method=method)


def counted(work: Work, trained: str, judge: Judge, *, method: str) -> Outcome:
    """Count image by image and add up; resumes with the next image."""
    images, fingerprint = images_of(work.inputs["references"]), work.inputs[trained].manifest.fingerprint

    def rows(batch: Sequence[Shown]) -> list[Rows | Quarantined]:
        return [on_image(work, images[shown[0][0].image_id], partial(_counts, judge, shown)) for shown in batch]

    units = []
    for image_id, shown in _drawn(work).items():
        said = [[one.split, one.sentences, digest([truth.rle.hex()])] for one, truth in shown]
        units.append(Unit(digest([fingerprint, image_id, images[image_id].sha256, said]), shown, image_id))
    tally = fill_table(
        work.slot, "counts", units, rows, schema=COUNTS, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )
    found = gathered(read_table(work.slot.content / "counts.parquet").to_pylist())
    areas = _write(work, found, method=method)
    metrics = {f"{row['split']} {method} AUC-PR": row["AUC_PR"] for row in areas if row["resolution"] == "original"}
    return Outcome(tallies={"counts": tally}, metrics=metrics or {"curve": "no ground truth"}, preview=_preview(found))


def _judged(model: Segmenter, tokenizer: Encoder, bf16: bool, shown: Shown, pixels: Pixels) -> Judged:
    """At the model's size and at the image's own."""
    import torch

    from ops.images import resize_image, resize_labels, to_tensor
    from ops.segmenters.prediction import chances, quarter_logits

    size = model.config.image_size
    image = resize_image(to_tensor(pixels), height=size, width=size)
    for one, truth in shown:
        ids_ST, mask_ST = tokenizer.encode(one.sentences)
        drawn = torch.from_numpy(truth.mask())
        sides = {str(size): resize_labels(drawn, height=size, width=size), "original": drawn}
        for part in quarter_logits(model, image, token_ids_ST=ids_ST, token_mask_ST=mask_ST, bf16=bf16):
            for side, truth_HW in sides.items():
                yield one.split, side, chances(part, (truth_HW.shape[0], truth_HW.shape[1])).cpu(), truth_HW


def _counts(judge: Judge, shown: Shown, pixels: Pixels) -> Rows:
    """Rows of `COUNTS` of one image, a row per split and resolution."""
    from ops.evaluation.precision_recall import PixelCurve

    states: dict[tuple[str, str], tuple[PixelCurve, int]] = {}
    for split, side, found_SHW, truth_HW in judge(shown, pixels):
        state, sentences = states.get((split, side), (PixelCurve(), 0))
        state.update(found_SHW, truth_HW.expand_as(found_SHW))
        states[split, side] = state, sentences + len(found_SHW)
    rows = []
    for (split, side), (state, sentences) in states.items():
        background, foreground = state.counts_2K.tolist()
        where = {"split": split, "resolution": side, "expressions": sentences}
        rows.append({**where, "background": background, "foreground": foreground})
    return rows


def gathered(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[PixelCurve, int]]:
    """(split, resolution) -> the pixels of all images, and how many expressions they belong to."""
    from ops.evaluation.precision_recall import PixelCurve

    found: dict[tuple[str, str], tuple[PixelCurve, int]] = {}
    for row in rows:
        state, sentences = found.get((row["split"], row["resolution"]), (PixelCurve(), 0))
        state.merge(PixelCurve(np.array([row["background"], row["foreground"]], np.int64)))
        found[row["split"], row["resolution"]] = state, sentences + row["expressions"]
    return found


def _drawn(work: Work) -> dict[str, Shown]:
    """Image id -> its objects in the scored splits that are drawn."""
    truths = truths_of(work.inputs["ground_truth"])
    objects = by_image(referents_of(work.inputs["references"], splits=work.instance.source.evaluate))
    found = {
        image_id: [(one, truths[one.object_id]) for one in group if one.object_id in truths]
        for image_id, group in objects.items()
    }
    return {image_id: shown for image_id, shown in found.items() if shown}


def _write(work: Work, found: Mapping[tuple[str, str], tuple[PixelCurve, int]], *, method: str) -> list[dict[str, Any]]:
    """The tables `curve` and `areas`; the rows of the latter."""
    points = [
        {"split": split, "resolution": side, "precision": precision, "recall": recall}
        for (split, side), (state, _) in found.items()
        for precision, recall in zip(*state.curve(), strict=True)
    ]
    areas = [
        {"split": split, "method": method, "resolution": side, "expressions": sentences, "AUC_PR": state.area()}
        for (split, side), (state, sentences) in found.items()
    ]
    write_table(work.slot.content / "curve.parquet", pa.Table.from_pylist(points, schema=CURVE))
    write_table(work.slot.content / "areas.parquet", pa.Table.from_pylist(areas, schema=AREAS))
    return areas


def _preview(found: Mapping[tuple[str, str], tuple[PixelCurve, int]]) -> bytes | None:
    curves = {
        split: (state.curve().precision_K, state.curve().recall_K)
        for (split, side), (state, _) in found.items()
        if side == "original"
    }
    return precision_preview(curves) if curves else None
