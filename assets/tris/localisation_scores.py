"""TRIS against ground truth, per expression at the image's own resolution: mIoU, oIoU, P@X, points and boxes.

Both steps are measured on the scored splits. On the first references of the training split Step 1 is measured beside
what becomes of it: PRMS, which must know which expressions mean one referent, and the refined labels.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from assets.data.images import Mask
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of
from assets.evaluation.iou_scores import (
    Cell,
    Cells,
    evaluated_referents,
    sliced,
    summary_row,
    write_rows,
)
from assets.evaluation.tables import PAIRS, SLICES, SUMMARY, PairRow
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.tris.knobs import EvaluatedKnobs, ResponseScoreKnobs
from assets.tris.response_maps import ResponseMaps, read_maps
from assets.tris.stages import REFINED_LABELS, RESPONSE_MAPS, SELECTED_RESPONSES, TRIS_PREDICTIONS
from assets.tris.tables import LOCATED, REFINED, SELECTED, LocatedRow
from ops.boxes import Box, tight_box
from ops.evaluation.localisation import Localisation, Threshold, hit_rate, is_large_enough, localise, score
from storage.rows import Tally
from storage.tables import column

SMALL_TOO = "expression, small objects too"
"""What counts once where ReferIt's tests, as the papers report them, leave small objects out."""
HITS = ("PointIt", "PointM", "Acc_box")
TRIS_PAIRS = pa.schema(
    [
        *PAIRS.schema,
        column("PointIt", pa.bool_(), "the map's maximum lies in the object's box; null: no map", nullable=True),
        column("PointM", pa.bool_(), "the map's maximum lies in the object's mask", nullable=True),
        column("Acc_box", pa.bool_(), "a box of the mask overlaps the object's by more than a half", nullable=True),
    ]
)
SHARES = [column(name, pa.float64(), f"share of expressions with {name}", nullable=True) for name in HITS]
TRIS_SUMMARY = pa.schema([*SUMMARY, *SHARES])
TRIS_SLICES = pa.schema([*SLICES, *SHARES])


@dataclass(frozen=True, kw_only=True)
class LocatedPair(PairRow):
    """One comparison with the ground truth, and what else was hit."""

    hits: Mapping[str, bool | None]


def response_scores(work: Work) -> Outcome:
    """Step 1's maps, and PRMS where it selected; mIoU is what the paper's tables call IoU."""
    maps = read_maps(work.input(RESPONSE_MAPS))
    selected = {row.ref_id: row.sent_id for row in SELECTED.rows(work.input(SELECTED_RESPONSES))}
    by_map = partial(_by_map, maps, work.knobs_as(ResponseScoreKnobs).threshold)
    pairs: list[LocatedPair] = []
    for referent, truth in _annotated(work):
        pairs += by_map(referent, truth, {sent_id: sent_id for sent_id in referent.sent_ids}, "TRIS Step 1")
        if referent.ref_id in selected:
            pairs += by_map(referent, truth, dict.fromkeys(referent.sent_ids, selected[referent.ref_id]), "PRMS")
    return _written(work, pairs)


def tris_scores(work: Work) -> Outcome:
    """Refined labels, on training images alone, and Step 2; see `response_scores`."""
    labels = {row.ref_id: row.mask for row in REFINED.rows(work.input(REFINED_LABELS))}
    predicted = {row.sent_id: row for row in LOCATED.rows(work.input(TRIS_PREDICTIONS))}
    pairs: list[LocatedPair] = []
    for referent, truth in _annotated(work):
        if referent.ref_id in labels:
            pairs += _by_label(referent, truth, labels[referent.ref_id].decode())
        rows = {sent_id: predicted[sent_id] for sent_id in referent.sent_ids if sent_id in predicted}
        pairs += [_compared(referent, sent_id, truth, _located(row), "TRIS") for sent_id, row in rows.items()]
    return _written(work, pairs)


def _annotated(work: Work) -> Iterator[tuple[Referent, Mask]]:
    """The evaluated referents that have ground truth, and their masks."""
    truths = ground_truth_of(work.input(GROUND_TRUTH))
    for referent in evaluated_referents(work, training=work.knobs_as(EvaluatedKnobs).training_references):
        if referent.object_id in truths:
            yield referent, truths[referent.object_id].mask.decode()


def _written(work: Work, pairs: Sequence[LocatedPair]) -> Outcome:
    """The tables `pairs`, `summary` and `slices`; what ReferIt's tests leave out is counted in rows of its own."""
    left_out = _left_out(work)
    kept = [pair for pair in pairs if pair.ref_id not in left_out]
    cells: dict[Cell, list[LocatedPair]] = {}
    for per, some in {"expression": kept, SMALL_TOO: pairs if left_out else ()}.items():
        for pair in some:
            cells.setdefault((pair.split, pair.method, per, pair.resolution), []).append(pair)
    write_rows(work, "pairs", [{**PAIRS.columns(pair), **pair.hits} for pair in pairs], TRIS_PAIRS)
    write_rows(work, "summary", [_summary(cell, some) for cell, some in cells.items()], TRIS_SUMMARY)
    numbers = {cell: np.array([pair.sent_id for pair in some]) for cell, some in cells.items()}
    slices = sliced(work, numbers, lambda cell, places: _summary(cell, [cells[cell][place] for place in places]))
    write_rows(work, "slices", slices, TRIS_SLICES)
    counts = Cells()
    deque(counts.counted(kept), maxlen=0)
    return Outcome(tallies={"pairs": Tally.computed_anew(len(pairs))}, metrics=counts.headline())


def _left_out(work: Work) -> set[int]:
    """Scored referents of ReferIt whose box is too small for its tests (TRIS spec 1.8); of other data sets none."""
    source = work.instance.source
    if source.config.kind != "referit":
        return set()
    small = set()
    for referent, truth in _annotated(work):
        x1, y1, x2, y2 = annotated_box(truth)
        box = (x1, y1, x2 - 1, y2 - 1)  # a box of ReferIt names its last pixels
        if referent.split in source.evaluate and not is_large_enough(box, (truth.shape[0], truth.shape[1])):
            small.add(referent.ref_id)
    return small


def _summary(cell: Cell, pairs: Sequence[LocatedPair]) -> dict[str, Any]:
    shares = {name: hit_rate(pair.hits[name] for pair in pairs) for name in HITS}
    intersections, unions = [pair.intersection for pair in pairs], [pair.union for pair in pairs]
    return {**summary_row(cell, intersections, unions, "count"), **shares}


def _by_map(
    maps: ResponseMaps,
    threshold: Threshold,
    referent: Referent,
    truth: Mask,
    map_of: Mapping[int, int],
    method: str,
) -> Iterator[LocatedPair]:
    """Every expression by the map of the expression that `map_of` names."""
    size = (truth.shape[0], truth.shape[1])
    located: dict[int, Localisation] = {}
    for sent_id, source in map_of.items():
        if source in maps.row_of:
            if source not in located:
                located[source] = localise(maps.positive([source])[0], size, threshold=threshold)
            yield _compared(referent, sent_id, truth, located[source], method)


def _located(row: LocatedRow) -> Localisation:
    return Localisation(mask_HW=row.mask.decode(), point=(row.row, row.column))


def _compared(referent: Referent, sent_id: int, truth: Mask, located: Localisation, method: str) -> LocatedPair:
    counts = score(located, truth, [annotated_box(truth)])
    hits = {"PointIt": counts.point_in_box, "PointM": counts.point_in_mask, "Acc_box": counts.box_hit}
    return _pair(referent, sent_id, method, (counts.intersection, counts.union), hits)


def _by_label(referent: Referent, truth: Mask, label: Mask) -> Iterator[LocatedPair]:
    """Every expression by its referent's refined label, which has no map and so no point."""
    pixels = int((label & truth).sum()), int((label | truth).sum())
    for sent_id in referent.sent_ids:
        yield _pair(referent, sent_id, "refined labels", pixels, dict.fromkeys(HITS))


def _pair(
    referent: Referent, sent_id: int, method: str, pixels: tuple[int, int], hits: Mapping[str, bool | None]
) -> LocatedPair:
    """`pixels` of intersection and union."""
    return LocatedPair(
        ref_id=referent.ref_id,
        sent_id=sent_id,
        split=referent.split,
        method=method,
        resolution="original",
        intersection=pixels[0],
        union=pixels[1],
        hits=hits,
    )


def annotated_box(truth_HW: Mask) -> Box:
    """x1, y1, x2, y2 around a ground-truth mask, see `ops.boxes`; an empty mask's box holds no point."""
    return tight_box(truth_HW) or (-1, -1, -1, -1)
