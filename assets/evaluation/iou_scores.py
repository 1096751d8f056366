"""Masks against ground truth: pixel counts of each pair, their summary, and slices of it.

Every table of numbers carries its unit (expression or object), its resolution and its rule for empty masks.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import ArrayLike, NDArray

from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of, referents_of, scored_referents
from assets.evaluation.knobs import PUBLISHED_REFS, ScoreKnobs
from assets.evaluation.slices import traits_of
from assets.evaluation.tables import PAIRS, SLICES, SUMMARY, PairRow
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.segmenters.tables import PREDICTIONS, PredictionRow
from assets.stages import segmenter_scored_by
from ops.evaluation.iou import Empties, ScoreState, row_ious
from ops.images import resize_labels
from storage.masks import Rle
from storage.rows import Tally
from storage.tables import write_table

Cell = tuple[str, str, str, str]
"""Split, method, what counts once, resolution."""
P = TypeVar("P", bound=PairRow)


def scores(work: Work) -> Outcome:
    """A trained model per expression, from the masks of its stage of predictions."""
    model = segmenter_scored_by(work.instance.stage)
    predicted = {row.sent_id: row for row in PREDICTIONS.rows(work.input(model.predictions))}
    truths = ground_truth_of(work.input(GROUND_TRUTH))
    pairs = (
        pair
        for referent in scored_referents(work)
        if referent.object_id in truths
        for pair in _both_sizes(referent, truths[referent.object_id].mask, predicted, method=model.method)
    )
    counts = write_pairs(work, pairs, empties=work.knobs_as(ScoreKnobs).empties)
    return Outcome(tallies={"pairs": Tally.computed_anew(counts.rows)}, metrics=counts.headline())


def evaluated_referents(work: Work, *, training: int | None = PUBLISHED_REFS) -> list[Referent]:
    """Referents of the scored splits, and the first so many of the training splits (None: all)."""
    source = work.instance.source
    others = [split for split in source.train if split not in source.evaluate]
    return [*scored_referents(work), *referents_of(work, splits=others)[:training]]


def compare(
    referent: Referent, sent_id: int, truth: Rle, mask: Rle, *, method: str, resolution: str = "original"
) -> PairRow:
    """Count the pixels of one mask against the ground truth."""
    intersection, union = mask.pixels(truth)
    return PairRow(
        ref_id=referent.ref_id,
        sent_id=sent_id,
        split=referent.split,
        method=method,
        resolution=resolution,
        intersection=intersection,
        union=union,
    )


@dataclass(frozen=True)
class Cells:
    """Pixel counts of pairs by split, method and resolution, in arrays of numbers."""

    known: dict[tuple[str, str, str], "CellCounts"] = field(default_factory=dict)

    def counted(self, pairs: Iterable[P]) -> Iterator[P]:
        """The pairs again, each of which is counted when it has passed."""
        for pair in pairs:
            yield pair
            self.known.setdefault((pair.split, pair.method, pair.resolution), CellCounts()).add(pair)

    @property
    def rows(self) -> int:
        """Pairs so far."""
        return sum(len(cell.union) for cell in self.known.values())

    def headline(self) -> dict[str, float | str]:
        """Mean IoU per split and method at the image's own resolution, per expression, for the plots of the UI."""
        if not self.known:
            return {"scores": "no ground truth"}
        return {
            f"{split} {method} mIoU": float(np.mean(row_ious(cell.intersection, cell.union)))
            for (split, method, resolution), cell in self.known.items()
            if resolution == "original"
        }


@dataclass(frozen=True)
class CellCounts:
    """The pairs of one cell: a number each."""

    sent_id: "array[int]" = field(default_factory=lambda: array("q"))
    ref_id: "array[int]" = field(default_factory=lambda: array("q"))
    intersection: "array[int]" = field(default_factory=lambda: array("q"))
    union: "array[int]" = field(default_factory=lambda: array("q"))
    has_candidate: "array[int]" = field(default_factory=lambda: array("b"))

    def add(self, pair: PairRow) -> None:
        """Count one more."""
        self.sent_id.append(pair.sent_id)
        self.ref_id.append(pair.ref_id)
        self.intersection.append(pair.intersection)
        self.union.append(pair.union)
        self.has_candidate.append(pair.has_candidate)

    def summary(self, cell: Cell, empties: Empties, places_R: NDArray[np.int64]) -> dict[str, Any]:
        """The numbers of some of its pairs."""
        columns = (self.intersection, self.union, self.has_candidate)
        intersections_R, unions_R, offered_R = (np.asarray(column)[places_R] for column in columns)
        return summary_row(cell, intersections_R, unions_R, empties, has_candidate_R=offered_R)


def last_of_each(ids: "array[int]") -> NDArray[np.int64]:
    """Of every different number, the last place."""
    numbers_N = np.asarray(ids)
    return len(numbers_N) - 1 - np.unique(numbers_N[::-1], return_index=True)[1]


def write_pairs(work: Work, pairs: Iterable[PairRow], *, empties: Empties, per_object: Iterable[str] = ()) -> Cells:
    """The `pairs` table, its `summary` and its `slices`; methods in `per_object` are also counted once per object."""
    counts, objectwise = Cells(), set(per_object)
    PAIRS.write(work.slot, counts.counted(pairs))
    places: dict[Cell, tuple[CellCounts, NDArray[np.int64]]] = {}
    for (split, method, resolution), cell in counts.known.items():
        places[split, method, "expression", resolution] = cell, last_of_each(cell.sent_id)
        if method in objectwise:
            places[split, method, "object", resolution] = cell, last_of_each(cell.ref_id)

    def row(cell: Cell, within_R: NDArray[np.int64]) -> dict[str, Any]:
        counted, places_N = places[cell]
        return counted.summary(cell, empties, places_N[within_R])

    everything = {cell: np.asarray(counted.sent_id)[places_N] for cell, (counted, places_N) in places.items()}
    write_rows(work, "summary", [row(cell, np.arange(len(ids))) for cell, ids in everything.items()], SUMMARY)
    write_rows(work, "slices", sliced(work, everything, row), SLICES)
    return counts


def write_rows(work: Work, name: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
    """A table whose rows are dicts."""
    write_table(work.slot.content / f"{name}.parquet", pa.Table.from_pylist(list(rows), schema=schema))


def sliced(
    work: Work,
    cells: Mapping[Cell, NDArray[np.int64]],
    row: Callable[[Cell, NDArray[np.int64]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """The numbers per expression once more, for each slice of them (see `assets.evaluation.slices`).

    `cells` are the expressions of each cell; `row` gives the numbers of those at some places among them.
    """
    traits = traits_of(work, splits=work.instance.source.splits)
    return [
        {"by": by, "slice": name, **row(cell, places)}
        for cell, sent_ids in cells.items()
        if cell[2] == "expression"
        for by, name, places in traits.parts(sent_ids)
    ]


def summary_row(
    cell: Cell,
    intersections_R: ArrayLike,
    unions_R: ArrayLike,
    empties: Empties,
    *,
    has_candidate_R: ArrayLike | None = None,
) -> dict[str, Any]:
    """The numbers of a cell: split, method, what counts once, and resolution."""
    split, method, per, resolution = cell
    state = ScoreState(empties=empties).update(intersections_R, unions_R, has_candidate_R=has_candidate_R)
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


def _both_sizes(
    referent: Referent, truth: Rle, predicted: Mapping[int, PredictionRow], *, method: str
) -> Iterator[PairRow]:
    """At the model's size, for which the ground truth is shrunk once, and at the image's own."""
    squashed: dict[int, Rle] = {}
    for row in (predicted[sent_id] for sent_id in referent.sent_ids if sent_id in predicted):
        size = row.model_size
        if size not in squashed:
            truth_HW = torch.from_numpy(truth.decode())
            squashed[size] = Rle.of(resize_labels(truth_HW, height=size, width=size).numpy())
        at_model = squashed[size]
        yield compare(referent, row.sent_id, at_model, row.model_mask, method=method, resolution=str(size))
        yield compare(referent, row.sent_id, truth, row.mask, method=method)
