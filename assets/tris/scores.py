"""TRIS against the ground truth, per expression at the image's own resolution: mIoU, oIoU, P@X, points and boxes.

Step 1 and Step 2 are measured on the scored splits. On the first references of the training split Step 1 is measured
beside what becomes of it: PRMS, which must know which expressions mean one object, and the refined labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assets.evaluate import PAIRS, SUMMARY, Pair, decode_row, headline, judged, summary_row, truths_of
from assets.records import Mask, ObjectRecord
from assets.stage import Outcome, Work
from assets.tris.knobs import LocalisationKnobs
from assets.tris.maps import ResponseMaps, read_maps
from storage.rows import Tally
from storage.tables import column, write_table

if TYPE_CHECKING:
    from ops.tris.scores import Localisation

HITS = ("PointIt", "PointM", "Acc_box")
TRIS_PAIRS = pa.schema(
    [
        *PAIRS,
        column("PointIt", pa.bool_(), "the map's maximum lies in the object's box; null: no map", nullable=True),
        column("PointM", pa.bool_(), "the map's maximum lies in the object's mask", nullable=True),
        column("Acc_box", pa.bool_(), "a box of the mask overlaps the object's by more than a half", nullable=True),
    ]
)
TRIS_SUMMARY = pa.schema(
    [*SUMMARY, *(column(name, pa.float64(), f"share of expressions with {name}", nullable=True) for name in HITS)]
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One comparison with the ground truth, and what else was hit."""

    pair: Pair
    hits: Mapping[str, bool | None]


def tris_scores(work: Work) -> Outcome:
    """Step 1, PRMS, refined labels and Step 2 against the drawn masks; mIoU is what the paper's tables call IoU.

    The object's box is the tight one around its drawn mask. PRMS and labels are measured on training images alone.
    """
    comparisons = _Comparisons(work=work)
    found = list(comparisons.all())
    rows = [{**{name: getattr(one.pair, name) for name in PAIRS.names}, **one.hits} for one in found]
    write_table(work.slot.work / "pairs.parquet", pa.Table.from_pylist(rows, schema=TRIS_PAIRS))
    cells: dict[tuple[str, str, str, str], list[Judged]] = {}
    for one in found:
        cells.setdefault((one.pair.split, one.pair.method, "expression", "original"), []).append(one)
    summary = [_row(cell, some) for cell, some in cells.items()]
    write_table(work.slot.work / "summary.parquet", pa.Table.from_pylist(summary, schema=TRIS_SUMMARY))
    tally = Tally(reused=0, computed=len(rows), quarantined=0, rows=len(rows))
    return Outcome(tallies={"pairs": tally}, metrics=headline([one.pair for one in found]))


def _row(cell: tuple[str, str, str, str], some: Sequence[Judged]) -> dict[str, Any]:
    shares: dict[str, float | None] = {}
    for name in HITS:
        known = [hit for one in some if (hit := one.hits[name]) is not None]
        shares[name] = float(np.mean(known)) if known else None
    return {**summary_row(cell, [one.pair for one in some], "count"), **shares}


@dataclass(frozen=True, kw_only=True)
class _Comparisons:
    """Everything that is compared."""

    work: Work

    @cached_property
    def maps(self) -> ResponseMaps:
        return read_maps(self.work.inputs["response_maps"])

    def all(self) -> Iterator[Judged]:
        """Every comparison, by object."""
        truths = truths_of(self.work.inputs["ground_truth"])
        selected = {row["ref_id"]: row for row in self._rows("selected_responses", "selected")}
        labels = {row["ref_id"]: row for row in self._rows("refined_labels", "labels")}
        predicted = {row["sent_id"]: row for row in self._rows("tris_predictions", "masks")}
        for one in judged(self.work):
            if one.object_id not in truths:
                continue
            truth = truths[one.object_id].mask()
            yield from self._by_map(one, truth, {sent_id: sent_id for sent_id in one.sent_ids}, "TRIS Step 1")
            if one.ref_id in selected:
                chosen = dict.fromkeys(one.sent_ids, selected[one.ref_id]["sent_id"])
                yield from self._by_map(one, truth, chosen, "PRMS")
            if one.ref_id in labels:
                yield from _by_label(one, truth, decode_row(labels[one.ref_id]))
            for sent_id in one.sent_ids:
                if sent_id in predicted:
                    yield _judge(one, sent_id, truth, _predicted(predicted[sent_id]), "TRIS")

    def _by_map(self, one: ObjectRecord, truth: Mask, map_of: Mapping[int, int], method: str) -> Iterator[Judged]:
        """Every expression by the map of the expression that `map_of` names."""
        from ops.tris.scores import localise

        threshold = self.work.knobs_as(LocalisationKnobs).threshold
        size = (truth.shape[0], truth.shape[1])
        found: dict[int, Localisation] = {}
        for sent_id, source in map_of.items():
            if source in self.maps.row_of:
                if source not in found:
                    found[source] = localise(self.maps.positive([source])[0], size, threshold=threshold)
                yield _judge(one, sent_id, truth, found[source], method)

    def _rows(self, stage: str, table: str) -> list[dict[str, Any]]:
        return self.work.inputs[stage].table(table).to_pylist()


def _predicted(row: Mapping[str, Any]) -> Localisation:
    from ops.tris.scores import Localisation

    return Localisation(mask_HW=decode_row(row), point=(row["row"], row["column"]))


def _judge(one: ObjectRecord, sent_id: int, truth: Mask, found: Localisation, method: str) -> Judged:
    from ops.tris.scores import score

    counts = score(found, truth, [tight_box(truth)])
    hits = {"PointIt": counts.point_in_box, "PointM": counts.point_in_mask, "Acc_box": counts.box_hit}
    return Judged(pair=_pair(one, sent_id, method, counts.intersection, counts.union), hits=hits)


def _by_label(one: ObjectRecord, truth: Mask, label: Mask) -> Iterator[Judged]:
    """Every expression by its object's refined label, which has no map and so no point."""
    shared, joined = int((label & truth).sum()), int((label | truth).sum())
    for sent_id in one.sent_ids:
        yield Judged(pair=_pair(one, sent_id, "refined labels", shared, joined), hits=dict.fromkeys(HITS))


def _pair(one: ObjectRecord, sent_id: int, method: str, intersection: int, union: int) -> Pair:
    return Pair(
        ref_id=one.ref_id,
        sent_id=sent_id,
        split=one.split,
        method=method,
        resolution="original",
        intersection=intersection,
        union=union,
    )


def tight_box(mask_HW: Mask) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 around a mask, as COCO's boxes: the far sides are exclusive."""
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    if not len(rows):
        return (0, 0, 0, 0)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
