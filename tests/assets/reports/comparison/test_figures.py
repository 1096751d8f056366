"""Measures, differences and intervals of compared masks against pixels counted by numpy."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from assets.data.tables import ExpressionRow
from assets.reports.comparison.figures import Block, blocks_of
from assets.reports.comparison.pairs import pairs_of
from assets.reports.comparison.reading import Comparison, Part
from assets.reports.gallery.reading import Masks
from ops.evaluation.bootstrap import RESAMPLES
from tests.comparisons import compared
from tests.galleries import HEIGHT, WIDTH

PLAIN = compared(["base", "other", "third"])
Numbers = npt.NDArray[np.float64]
Statistic = Callable[[Masks, Sequence[ExpressionRow]], float]


def block(comparison: Comparison, part: str, split: str) -> Block:
    return next(one for one in blocks_of(comparison) if (one.part, one.split) == (part, split))


def pixels(masks: Masks, row: ExpressionRow) -> npt.NDArray[np.bool_]:
    mask = masks[row.sent_id]
    return np.zeros((HEIGHT, WIDTH), bool) if mask is None else mask.decode()


def counts(masks: Masks, others: Masks, rows: Sequence[ExpressionRow]) -> Numbers:
    """(N, 2) pixels of intersection and union."""
    couples = [(pixels(masks, row), pixels(others, row)) for row in rows]
    return np.array([[(one & other).sum(), (one | other).sum()] for one, other in couples], float)


def ious(found: Numbers) -> Numbers:
    return np.divide(found[:, 0], found[:, 1], out=np.zeros(len(found)), where=found[:, 1] > 0)


STATISTICS: dict[str, Statistic] = {
    "oIoU": lambda masks, rows: float(np.divide(*counts(masks, PLAIN.truth, rows).sum(0))),
    "mIoU": lambda masks, rows: float(ious(counts(masks, PLAIN.truth, rows)).mean()),
    "P@0.5": lambda masks, rows: float((ious(counts(masks, PLAIN.truth, rows)) >= 0.5).mean()),
    "no mask": lambda masks, rows: float(np.mean([not pixels(masks, row).any() for row in rows])),
    "area": lambda masks, rows: float(np.mean([one for row in rows if (one := pixels(masks, row).mean())])),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_values_and_differences_are_those_of_the_pixels(name: str) -> None:
    part = PLAIN.parts[0]
    rows = [row for row in PLAIN.rows if row.split == "val"]
    of = {experiment: STATISTICS[name](method.masks, rows) for experiment, method in part.masks.items()}
    found = block(PLAIN, part.title, "val").rows
    for experiment, value in of.items():
        figure = found[experiment][name]
        assert figure.value == pytest.approx(value)
        delta = None if experiment == "base" else pytest.approx(value - of["base"])
        assert figure.delta == delta


@pytest.mark.parametrize("name", ["oIoU", "mIoU"])
def test_intervals_are_those_of_rows_gathered_image_by_image(name: str) -> None:
    part = PLAIN.parts[0]
    rows = [row for row in PLAIN.rows if row.split == "train"]
    images = list(dict.fromkeys(row.image_id for row in rows))
    tables = {}
    for experiment in ("base", "other"):
        found = counts(part.masks[experiment].masks, PLAIN.truth, rows)
        tables[experiment] = found if name == "oIoU" else np.stack([ious(found), np.ones(len(rows))], 1)
    random, deltas = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        times = dict(zip(images, random.multinomial(len(images), np.full(len(images), 1 / len(images))), strict=True))
        weights = np.array([times[row.image_id] for row in rows])
        one, other = (float(np.divide(*(weights @ tables[experiment]))) for experiment in ("base", "other"))
        deltas.append(other - one)
    figure = block(PLAIN, part.title, "train").rows["other"][name]
    assert (figure.low, figure.high) == pytest.approx(tuple(np.percentile(deltas, [2.5, 97.5])))


def test_choices_are_measured_once_for_each_referent() -> None:
    """The simulated choices of a referent's three sentences agree by two thirds; the last image has no candidate."""
    part = PLAIN.parts[0]
    rows = [row for row in PLAIN.rows if row.split == "val"]
    choices = [part.masks["base"].choices[ref_id] for ref_id in dict.fromkeys(row.ref_id for row in rows)]
    found = block(PLAIN, part.title, "val").rows["base"]
    assert found["no candidate"].value == pytest.approx(np.mean([not one.candidates for one in choices]))
    assert found["margin"].value == pytest.approx(np.mean([one.margin for one in choices if one.margin is not None]))
    assert found["sentences agree"].value == pytest.approx(np.mean([2 / 3 if one.candidates else 1 for one in choices]))


def test_without_ground_truth_masks_are_compared_with_each_other() -> None:
    bare = compared(["base", "other"], truth=False)
    found = block(bare, "choice (S2)", "val")
    assert not {"oIoU", "mIoU"} & {measure.name for measure in found.measures}
    rows = [row for row in bare.rows if row.split == "val"]
    base, other = (method.masks for method in bare.parts[0].masks.values())
    alike = [1.0 if not union else both / union for both, union in counts(other, base, rows)]
    assert found.rows["other"]["IoU with base"].value == pytest.approx(np.mean(alike))
    (pair,) = pairs_of(bare)
    told = pair.likeness("val")
    assert told
    assert told.mean == pytest.approx(np.mean(alike))
    assert told.apart == pytest.approx(np.mean([one < 0.5 for one in alike]))
    assert list(pair.ious["val"].values()) == sorted(alike)


def test_an_expression_counts_where_all_were_asked_for_it() -> None:
    part = PLAIN.parts[0]
    left_out = next(row for row in PLAIN.rows if row.split == "val")
    masks = {sent: mask for sent, mask in part.masks["other"].masks.items() if sent != left_out.sent_id}
    fewer = Part(title="x", masks={**part.masks, "other": replace(part.masks["other"], masks=masks)})
    found = block(replace(PLAIN, parts=[fewer]), "x", "val")
    assert (found.asked - found.expressions, found.images) == (1, 6)


def test_few_images_have_no_interval_and_equal_masks_differ_by_nothing() -> None:
    one = compared(["base", "other"], images=8)
    figure = block(one, "choice (S2)", "train").rows["other"]["mIoU"]
    assert figure.delta is not None
    assert figure.low is None
    assert not figure.differs
    same = PLAIN.parts[0].masks["base"]
    twins = replace(PLAIN, parts=[Part(title="x", masks={"base": same, "other": same})])
    equal = block(twins, "x", "val").rows["other"]["oIoU"]
    assert (equal.delta, equal.low, equal.high, equal.differs) == (0, 0, 0, False)


def test_many_experiments_are_each_paired_with_the_baseline() -> None:
    names = [f"e{number}" for number in range(7)]
    assert len(pairs_of(compared(names[:5], images=1))) == 10
    assert {one.first for one in pairs_of(compared(names, images=1))} == {"e0"}
