"""TRIS against the ground truth, per expression at the image's own resolution: mIoU, oIoU, P@X, points and boxes.

Both steps are measured on the scored splits. On the first references of the training split Step 1 is measured beside
what becomes of it: PRMS, which must know which expressions mean one object, and the refined labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assets.data.tables import Mask, Referent
from assets.evaluation.iou_scores import (
    PAIRS,
    SLICES,
    SUMMARY,
    Cell,
    Pair,
    decode_row,
    headline,
    judged,
    sliced,
    summary_row,
    truths_of,
)
from assets.framework.stage import Outcome, Work
from assets.tris.knobs import JudgedKnobs, ResponseScoreKnobs
from assets.tris.response_maps import ResponseMaps, read_maps
from storage.rows import Tally
from storage.tables import column, write_table

if TYPE_CHECKING:
    from ops.evaluation.localisation import Localisation, Threshold

SMALL_TOO = "expression, small objects too"
"""What counts once where ReferIt's tests, as the papers report them, leave small objects out."""
HITS = ("PointIt", "PointM", "Acc_box")
TRIS_PAIRS = pa.schema(
    [
        *PAIRS,
        column("PointIt", pa.bool_(), "the map's maximum lies in the object's box; null: no map", nullable=True),
        column("PointM", pa.bool_(), "the map's maximum lies in the object's mask", nullable=True),
        column("Acc_box", pa.bool_(), "a box of the mask overlaps the object's by more than a half", nullable=True),
    ]
)
SHARES = [column(name, pa.float64(), f"share of expressions with {name}", nullable=True) for name in HITS]
TRIS_SUMMARY = pa.schema([*SUMMARY, *SHARES])
TRIS_SLICES = pa.schema([*SLICES, *SHARES])


@dataclass(frozen=True, kw_only=True)
class Judged(Pair):
    """One comparison with the ground truth, and what else was hit."""

    hits: Mapping[str, bool | None]


def response_scores(work: Work) -> Outcome:
    """Step 1's maps, and PRMS on training images, against the drawn masks; mIoU is what the paper's tables call IoU.

    The object's box is the tight one around its drawn mask, also where the data set comes with boxes. ReferIt's objects
    of at most 5 % of the image are left out of the scored splits, as its tests do; rows of their own count all.
    """
    maps = read_maps(work.inputs["response_maps"])
    selected = {row["ref_id"]: row["sent_id"] for row in _rows(work, "selected_responses", "selected")}
    by_map = partial(_by_map, maps, work.knobs_as(ResponseScoreKnobs).threshold)
    rows: list[Judged] = []
    for one, truth in _drawn(work):
        rows += by_map(one, truth, {sent_id: sent_id for sent_id in one.sent_ids}, "TRIS Step 1")
        if one.ref_id in selected:
            rows += by_map(one, truth, dict.fromkeys(one.sent_ids, selected[one.ref_id]), "PRMS")
    return _written(work, rows)


def tris_scores(work: Work) -> Outcome:
    """Refined labels, on training images alone, and Step 2 against the drawn masks; see `response_scores`."""
    labels = {row["ref_id"]: row for row in _rows(work, "refined_labels", "labels")}
    predicted = {row["sent_id"]: row for row in _rows(work, "tris_predictions", "masks")}
    rows: list[Judged] = []
    for one, truth in _drawn(work):
        if one.ref_id in labels:
            rows += _by_label(one, truth, decode_row(labels[one.ref_id]))
        found = {sent_id: predicted[sent_id] for sent_id in one.sent_ids if sent_id in predicted}
        rows += [_judge(one, sent_id, truth, _predicted(row), "TRIS") for sent_id, row in found.items()]
    return _written(work, rows)


def _rows(work: Work, stage: str, table: str) -> list[dict[str, Any]]:
    return work.inputs[stage].table(table).to_pylist()


def _drawn(work: Work) -> Iterator[tuple[Referent, Mask]]:
    """The judged objects that are drawn, and their masks."""
    truths = truths_of(work.inputs["ground_truth"])
    for one in judged(work, training=work.knobs_as(JudgedKnobs).training_references):
        if one.object_id in truths:
            yield one, truths[one.object_id].mask()


def _written(work: Work, found: Sequence[Judged]) -> Outcome:
    """The tables `pairs`, `summary` and `slices`; what ReferIt's tests leave out is counted in rows of its own."""
    rows = [{**{name: getattr(one, name) for name in PAIRS.names}, **one.hits} for one in found]
    left_out = _left_out(work)
    kept = [one for one in found if one.ref_id not in left_out]
    cells: dict[Cell, list[Judged]] = {}
    for per, some in {"expression": kept, SMALL_TOO: found if left_out else ()}.items():
        for one in some:
            cells.setdefault((one.split, one.method, per, one.resolution), []).append(one)
    summary = [_row(cell, some) for cell, some in cells.items()]
    slices = sliced(work, cells, _row)
    tables = {"pairs": (rows, TRIS_PAIRS), "summary": (summary, TRIS_SUMMARY), "slices": (slices, TRIS_SLICES)}
    for name, (content, schema) in tables.items():
        write_table(work.slot.content / f"{name}.parquet", pa.Table.from_pylist(content, schema=schema))
    tally = Tally.computed_anew(len(rows))
    return Outcome(tallies={"pairs": tally}, metrics=headline(kept))


def _left_out(work: Work) -> set[int]:
    """Scored references of ReferIt whose box is too small for its tests (TRIS spec 1.8); of other data sets none."""
    from ops.evaluation.localisation import large_enough

    source = work.instance.source
    if source.config.kind != "referit":
        return set()
    small = set()
    for one, truth in _drawn(work):
        x1, y1, x2, y2 = tight_box(truth)
        box = (x1, y1, x2 - 1, y2 - 1)  # a box of ReferIt names its last pixels
        if one.split in source.evaluate and not large_enough(box, (truth.shape[0], truth.shape[1])):
            small.add(one.ref_id)
    return small


def _row(cell: Cell, some: Sequence[Judged]) -> dict[str, Any]:
    from ops.evaluation.localisation import share

    return {**summary_row(cell, some, "count"), **{name: share(one.hits[name] for one in some) for name in HITS}}


def _by_map(
    maps: ResponseMaps,
    threshold: Threshold,
    one: Referent,
    truth: Mask,
    map_of: Mapping[int, int],
    method: str,
) -> Iterator[Judged]:
    """Every expression by the map of the expression that `map_of` names."""
    from ops.evaluation.localisation import localise

    size = (truth.shape[0], truth.shape[1])
    found: dict[int, Localisation] = {}
    for sent_id, source in map_of.items():
        if source in maps.row_of:
            if source not in found:
                found[source] = localise(maps.positive([source])[0], size, threshold=threshold)
            yield _judge(one, sent_id, truth, found[source], method)


def _predicted(row: Mapping[str, Any]) -> Localisation:
    from ops.evaluation.localisation import Localisation

    return Localisation(mask_HW=decode_row(row), point=(row["row"], row["column"]))


def _judge(one: Referent, sent_id: int, truth: Mask, found: Localisation, method: str) -> Judged:
    from ops.evaluation.localisation import score

    counts = score(found, truth, [tight_box(truth)])
    hits = {"PointIt": counts.point_in_box, "PointM": counts.point_in_mask, "Acc_box": counts.box_hit}
    return _judged(one, sent_id, method, (counts.intersection, counts.union), hits)


def _by_label(one: Referent, truth: Mask, label: Mask) -> Iterator[Judged]:
    """Every expression by its object's refined label, which has no map and so no point."""
    pixels = int((label & truth).sum()), int((label | truth).sum())
    for sent_id in one.sent_ids:
        yield _judged(one, sent_id, "refined labels", pixels, dict.fromkeys(HITS))


def _judged(
    one: Referent, sent_id: int, method: str, pixels: tuple[int, int], hits: Mapping[str, bool | None]
) -> Judged:
    """`pixels` of intersection and union."""
    return Judged(
        ref_id=one.ref_id,
        sent_id=sent_id,
        split=one.split,
        method=method,
        resolution="original",
        intersection=pixels[0],
        union=pixels[1],
        hits=hits,
    )


def tight_box(mask_HW: Mask) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 around a mask, as COCO's boxes: the far sides are exclusive. An empty mask's holds no point."""
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    if not len(rows):
        return (-1, -1, -1, -1)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
