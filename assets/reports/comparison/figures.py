"""Measures of compared masks, and their differences to the baseline with paired intervals over images.

An expression counts once, at the image's own size, and only where all experiments of a part were asked for it; a
measure of choices counts a referent once. Shapes: N expressions, I images, R draws, E experiments, M measures.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.data.tables import ExpressionRow
from assets.reports.comparison.reading import Comparison, Part
from assets.reports.gallery.measures import overlap, pixels_of, sentences_agree
from assets.reports.gallery.reading import Masks, Method
from ops.evaluation.bootstrap import interval, ratio, resampled_sums
from ops.evaluation.iou import row_ious

RULE = "an empty mask has an IoU of 0 with the ground truth, which enters the union"
THRESHOLDS = (0.5, 0.7, 0.9)
FEWEST = 5
"""Images that tell how much others may differ: of fewer there is no interval."""
Column = NDArray[np.float64]
"""(N, 2): what an expression adds to the two sums whose ratio is the measure."""


@dataclass(frozen=True)
class Measure:
    """What a column of a table holds."""

    name: str
    unit: Literal["percent", "points"] = "percent"
    """Shares are kept as fractions and shown in percent; points of 100 cosine are shown as they are."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measure of an experiment; None: not known, or nothing to compare with."""

    value: float | None
    delta: float | None = None
    """To the baseline."""
    low: float | None = None
    high: float | None = None
    """Of the difference, 95 %, by paired bootstrap over images."""

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class Block:
    """The measures of one kind of masks on one split."""

    part: str
    split: str
    baseline: str
    images: int
    expressions: int
    asked: int
    """Expressions of the split; those that are missing some experiment was not asked for."""
    measures: tuple[Measure, ...]
    rows: Mapping[str, Mapping[str, Figure]]
    """Experiment -> name of the measure -> figure."""


def blocks_of(comparison: Comparison) -> list[Block]:
    """Part by part, and split by split where there is an expression to compare."""
    return [block for part in comparison.parts for block in _blocks(comparison, part)]


def common_rows(part: Part, rows: Sequence[ExpressionRow], split: str) -> list[ExpressionRow]:
    """Expressions of a split that all experiments of a part were asked for."""
    return [
        row for row in rows if row.split == split and all(row.sent_id in each.masks for each in part.masks.values())
    ]


def _blocks(comparison: Comparison, part: Part) -> Iterator[Block]:
    for split in comparison.splits:
        rows = common_rows(part, comparison.rows, split)
        if rows:
            columns = _measured(part, rows, comparison.truth)
            images = {image: place for place, image in enumerate(dict.fromkeys(row.image_id for row in rows))}
            yield Block(
                part=part.title,
                split=split,
                baseline=part.baseline,
                images=len(images),
                expressions=len(rows),
                asked=sum(row.split == split for row in comparison.rows),
                measures=tuple({measure: None for of_one in reversed(columns.values()) for measure in of_one}),
                rows=_figures(columns, np.array([images[row.image_id] for row in rows])),
            )


def _measured(part: Part, rows: Sequence[ExpressionRow], truth: Masks) -> dict[str, dict[Measure, Column]]:
    """Experiment -> measure -> what each expression adds."""
    baseline = part.masks[part.baseline]
    columns: dict[str, dict[Measure, Column]] = {}
    for name, method in part.masks.items():
        columns[name] = _accuracy(method.masks, rows, truth)
        if name != part.baseline:
            columns[name][Measure(f"IoU with {part.baseline}")] = _agreement(method.masks, baseline.masks, rows)
        columns[name] |= {**_areas(method.masks, rows), **_choices(method, rows)}
    return columns


def _accuracy(masks: Masks, rows: Sequence[ExpressionRow], truth: Masks) -> dict[Measure, Column]:
    """Against the ground truth of the expressions that have one; nothing where none has."""
    known_N = np.array([row.sent_id in truth for row in rows], float)
    if not known_N.any():
        return {}
    pixels = [pixels_of(masks[row.sent_id], truth.get(row.sent_id)) for row in rows]
    intersections_N, unions_N = known_N * np.array(pixels, float).T
    ious_N = row_ious(intersections_N, unions_N)
    return {
        Measure("oIoU"): np.stack([intersections_N, unions_N], 1),
        Measure("mIoU"): _mean(ious_N, known_N),
        **{Measure(f"P@{limit}"): _mean(ious_N >= limit, known_N) for limit in THRESHOLDS},
    }


def _agreement(masks: Masks, others: Masks, rows: Sequence[ExpressionRow]) -> Column:
    return _mean(np.array([overlap(masks[row.sent_id], others[row.sent_id]) for row in rows]), np.ones(len(rows)))


def _areas(masks: Masks, rows: Sequence[ExpressionRow]) -> dict[Measure, Column]:
    found = [masks[row.sent_id] for row in rows]
    shares_N = np.array([mask.area / (mask.height * mask.width) if mask else 0 for mask in found])
    there_N = np.array([mask is not None for mask in found], float)
    return {Measure("no mask"): _mean(1 - there_N, np.ones(len(rows))), Measure("area"): _mean(shares_N, there_N)}


def _choices(method: Method, rows: Sequence[ExpressionRow]) -> dict[Measure, Column]:
    """Of referents, each at its first expression."""
    if not method.choices:
        return {}
    counted: set[int] = set()
    none, margin, agree = np.zeros((len(rows), 2)), np.zeros((len(rows), 2)), np.zeros((len(rows), 2))
    for place, row in enumerate(rows):
        choice = method.choices.get(row.ref_id)
        if choice is None or row.ref_id in counted:
            continue
        counted.add(row.ref_id)
        none[place] = not choice.candidates, 1
        for column, value in ((margin, choice.margin), (agree, sentences_agree(choice))):
            if value is not None and not isnan(value):
                column[place] = value, 1
    return {Measure("no candidate"): none, Measure("margin", "points"): margin, Measure("sentences agree"): agree}


def _mean(values_N: NDArray[np.generic], counted_N: NDArray[np.float64]) -> Column:
    """Of those that are counted."""
    return np.stack([np.where(counted_N > 0, values_N.astype(float), 0), counted_N], 1)


def _figures(
    columns: Mapping[str, Mapping[Measure, Column]], image_N: NDArray[np.intp]
) -> dict[str, dict[str, Figure]]:
    """One draw of images serves all experiments and measures."""
    names = [(experiment, measure) for experiment, of_one in columns.items() for measure in of_one]
    sums_IX = np.zeros((int(image_N.max()) + 1, 2 * len(names)))
    np.add.at(sums_IX, image_N, np.concatenate([columns[experiment][measure] for experiment, measure in names], 1))
    values = dict(zip(names, ratio(sums_IX.sum(0).reshape(-1, 2)).tolist(), strict=True))
    drawn = dict(zip(names, ratio(resampled_sums(sums_IX).reshape(-1, len(names), 2)).T, strict=True))
    baseline, figures = next(iter(columns)), dict[str, dict[str, Figure]]()
    for experiment, measure in names:
        value, base = values[experiment, measure], values.get((baseline, measure), float("nan"))
        delta = value - base
        if experiment == baseline or isnan(delta):
            figure = Figure(value=None if isnan(value) else value)
        else:
            low, high = interval(drawn[experiment, measure] - drawn[baseline, measure])
            ends = {"low": low, "high": high} if len(sums_IX) >= FEWEST else {}
            figure = Figure(value=value, delta=delta, **ends)
        figures.setdefault(experiment, {})[measure.name] = figure
    return figures
