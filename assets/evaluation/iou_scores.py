"""Masks against ground truth: pixel counts of each pair, their summary, and slices of it.

Every table of numbers carries its unit (expression or object), its resolution and its rule for empty masks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import torch

from assets.data.images import Mask
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of, referents_of, scored_referents
from assets.evaluation.knobs import PUBLISHED_REFS, ScoreKnobs
from assets.evaluation.slices import traits_of
from assets.evaluation.tables import PAIRS, SLICES, SUMMARY, PairRow
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.segmenters.tables import PREDICTIONS, PredictionRow
from assets.stages import segmenter_scored_by
from ops.evaluation.iou import Empties, ScoreState
from ops.images import resize_labels
from storage.rows import Tally
from storage.tables import write_table

Cell = tuple[str, str, str, str]
"""Split, method, what counts once, resolution."""
P = TypeVar("P", bound=PairRow)


def scores(work: Work) -> Outcome:
    """A trained model per expression, from the masks of its stage of predictions."""
    model = segmenter_scored_by(work.instance.stage)
    predicted = {row.sent_id: row for row in PREDICTIONS.read(work.input(model.predictions))}
    truths = ground_truth_of(work.input(GROUND_TRUTH))
    pairs: list[PairRow] = []
    for referent in scored_referents(work):
        if referent.object_id not in truths:
            continue
        truth = truths[referent.object_id].mask.decode()
        for sent_id in referent.sent_ids:
            if sent_id in predicted:
                pairs += _both_sizes(referent, truth, predicted[sent_id], method=model.method)
    write_pairs(work, pairs, empties=work.knobs_as(ScoreKnobs).empties)
    return Outcome(tallies={"pairs": Tally.computed_anew(len(pairs))}, metrics=headline(pairs))


def evaluated_referents(work: Work, *, training: int | None = PUBLISHED_REFS) -> list[Referent]:
    """Referents of the scored splits, and the first so many of the training splits (None: all)."""
    source = work.instance.source
    others = [split for split in source.train if split not in source.evaluate]
    return [*scored_referents(work), *referents_of(work, splits=others)[:training]]


def compare(
    referent: Referent, sent_id: int, truth: Mask, mask: Mask, *, method: str, resolution: str = "original"
) -> PairRow:
    """Count the pixels of one mask against the ground truth."""
    return PairRow(
        ref_id=referent.ref_id,
        sent_id=sent_id,
        split=referent.split,
        method=method,
        resolution=resolution,
        intersection=int((mask & truth).sum()),
        union=int((mask | truth).sum()),
    )


def write_pairs(work: Work, pairs: Sequence[PairRow], *, empties: Empties, per_object: Iterable[str] = ()) -> None:
    """The `pairs` table, its `summary` and its `slices`; methods in `per_object` are also counted once per object."""
    PAIRS.write(work.slot, pairs)
    cells: dict[Cell, dict[object, PairRow]] = {}
    objectwise = set(per_object)
    for pair in pairs:
        cells.setdefault((pair.split, pair.method, "expression", pair.resolution), {})[pair.sent_id] = pair
        if pair.method in objectwise:
            cells.setdefault((pair.split, pair.method, "object", pair.resolution), {})[pair.ref_id] = pair
    counted = {cell: list(rows.values()) for cell, rows in cells.items()}
    summary = [summary_row(cell, rows, empties) for cell, rows in counted.items()]
    write_rows(work, "summary", summary, SUMMARY)
    write_rows(work, "slices", sliced(work, counted, lambda cell, some: summary_row(cell, some, empties)), SLICES)


def write_rows(work: Work, name: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
    """A table whose rows are dicts."""
    write_table(work.slot.content / f"{name}.parquet", pa.Table.from_pylist(list(rows), schema=schema))


def sliced(
    work: Work, cells: Mapping[Cell, Sequence[P]], row: Callable[[Cell, Sequence[P]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The numbers per expression once more, for each slice of them (see `assets.evaluation.slices`)."""
    traits = traits_of(work, splits=work.instance.source.splits)
    rows = []
    for cell, pairs in cells.items():
        parts: dict[tuple[str, str], list[P]] = {}
        for pair in pairs if cell[2] == "expression" else ():
            for trait in traits[pair.sent_id].items():
                parts.setdefault(trait, []).append(pair)
        rows += [{"by": by, "slice": name, **row(cell, parts[by, name])} for by, name in sorted(parts)]
    return rows


def headline(pairs: Sequence[PairRow]) -> dict[str, float | str]:
    """Mean IoU per split and method at the image's own resolution, per expression, for the plots of the UI."""
    if not pairs:
        return {"scores": "no ground truth"}
    ious: dict[str, list[float]] = {}
    for pair in pairs:
        if pair.resolution == "original":
            iou = pair.intersection / pair.union if pair.union else 0.0
            ious.setdefault(f"{pair.split} {pair.method} mIoU", []).append(iou)
    return {name: float(np.mean(values)) for name, values in ious.items()}


def summary_row(cell: Cell, pairs: Sequence[PairRow], empties: Empties) -> dict[str, Any]:
    """The numbers of a cell: split, method, what counts once, and resolution."""
    split, method, per, resolution = cell
    state = ScoreState(empties=empties).update(
        [pair.intersection for pair in pairs],
        [pair.union for pair in pairs],
        has_candidate_R=[pair.has_candidate for pair in pairs],
    )
    numbers = state.compute()
    return {
        "split": split,
        "method": method,
        "per": per,
        "resolution": resolution,
        "rows": numbers.rows,
        "oIoU": numbers.oiou,
        "mIoU": numbers.miou,
        **{f"P@{threshold}": share for threshold, share in numbers.precision.items()},
        "rule": numbers.rule,
    }


def _both_sizes(referent: Referent, truth: Mask, row: PredictionRow, *, method: str) -> list[PairRow]:
    size = row.model_size
    squashed = resize_labels(torch.from_numpy(truth), height=size, width=size).numpy()
    at_model, at_original = row.model_mask.decode(), row.mask.decode()
    return [
        compare(referent, row.sent_id, squashed, at_model, method=method, resolution=str(size)),
        compare(referent, row.sent_id, truth, at_original, method=method),
    ]
