"""oIoU, mIoU and P@X: against published numbers, an independent IoU, and themselves over any split of the rows."""

import csv
import gzip
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as rle

from ops.evaluation.iou import RULES, ScoreState, intersection_union, mean_iou, overall_iou, precision_at, row_ious
from tests.paths import SHARED

DATA = SHARED / "data"
ROWS = st.lists(
    st.integers(0, 1000).flatmap(lambda union: st.tuples(st.integers(0, union), st.just(union), st.booleans())),
    max_size=40,
)


def random_masks(count: int, *, seed: int = 0) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((count, 17, 23)) < 0.3


def test_intersection_and_union_agree_with_cocos_iou() -> None:
    predictions, truths = random_masks(20), random_masks(20, seed=1)
    for prediction, truth in zip(predictions, truths, strict=True):
        shared, joined = intersection_union(prediction, torch.from_numpy(truth))
        encoded = [rle.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in (prediction, truth)]
        assert shared / joined == pytest.approx(float(rle.iou(encoded[:1], encoded[1:], [0])[0, 0]))


def test_any_value_but_zero_is_foreground() -> None:
    assert intersection_union(np.array([[0, 255], [7, 0]]), np.array([[0, 1], [0, 1]])) == (1, 3)


def test_masks_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        intersection_union(np.ones((3, 4)), np.ones((4, 3)))


def test_published_ious_are_met_within_their_rounding() -> None:
    path = DATA / "refer_mini/published_predictions.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    differences = []
    for row in json.loads(path.read_text()):
        gt, base, ours = (rle.decode(row[name]) for name in ("gt", "pred_base", "pred_ours"))
        for prediction, published in ((base, row["iou_base_published"]), (ours, row["iou_ours_published"])):
            shared, joined = intersection_union(prediction, gt)
            differences.append(abs(shared / joined - published))
    assert len(differences) == 100
    assert round(max(differences), 4) <= 0.0112


def test_a_published_evaluation_is_aggregated_to_its_published_numbers() -> None:
    path = DATA / "published_iou/refcoco_val_per_sample_iou.csv.gz"
    if not path.exists():
        pytest.skip(f"no {path}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        ious = [float(row["iou"]) for row in csv.DictReader(file)]
    assert len(ious) == 10_834
    assert round(100 * mean_iou(ious), 3) == 74.315
    percent = [round(100 * precision_at(ious, threshold), 2) for threshold in (0.5, 0.6, 0.7, 0.8, 0.9)]
    assert percent == [84.64, 81.24, 75.26, 64.72, 34.54]


def test_precision_counts_an_iou_exactly_at_the_threshold() -> None:
    scores = ScoreState().update([1, 6, 7, 8, 9], [2, 10, 10, 10, 10]).compute()
    assert scores.precision == {0.5: 1.0, 0.6: 0.8, 0.7: 0.6, 0.8: 0.4, 0.9: 0.2}


def test_large_objects_dominate_oiou_and_not_miou() -> None:
    scores = ScoreState().update([900, 0], [1000, 10]).compute()
    assert scores.oiou == 900 / 1010
    assert scores.miou == 0.45


def test_an_empty_prediction_counts_zero_and_its_truth_enters_the_union() -> None:
    scores = ScoreState().update([50, 0, 0], [100, 100, 0], has_candidate_R=[True, False, True]).compute()
    assert scores.oiou == 50 / 200
    assert scores.miou == 0.5 / 3
    assert scores.rule == RULES["count"]
    assert "enters the union" in scores.rule


def test_compat_leaves_rows_without_candidate_out_of_oiou_only() -> None:
    state = ScoreState(empties="compat").update([50, 0, 0], [100, 100, 60], has_candidate_R=[True, False, True])
    scores = state.compute()
    assert scores.oiou == 50 / 160
    assert scores.miou == 0.5 / 3
    assert "left out of oIoU" in scores.rule


def test_no_row_gives_no_number() -> None:
    scores = ScoreState().compute()
    assert scores.rows == 0
    assert math.isnan(scores.oiou)
    assert math.isnan(scores.miou)
    assert all(math.isnan(value) for value in scores.precision.values())


@given(ROWS, st.integers(0, 40), st.sampled_from(["count", "compat"]))
def test_merged_shards_give_the_numbers_of_the_whole(rows: list[tuple[int, int, bool]], cut: int, empties: str) -> None:
    def state(part: list[tuple[int, int, bool]]) -> ScoreState:
        gathered = ScoreState(empties="compat" if empties == "compat" else "count")
        for shared, joined, candidate in part:
            gathered.update(shared if candidate else 0, joined, has_candidate_R=candidate)
        return gathered

    whole = state(rows).compute()
    merged = state(rows[cut:]).merge(state(rows[:cut])).compute()
    assert repr(merged) == repr(whole)  # to the last bit, in any order; repr so that NaN equals NaN


@given(ROWS)
def test_scores_are_fractions_in_order(rows: list[tuple[int, int, bool]]) -> None:
    scores = ScoreState().update([row[0] for row in rows], [row[1] for row in rows]).compute()
    if rows:
        assert 0 <= scores.oiou <= 1
        assert 0 <= scores.miou <= 1
        assert list(scores.precision.values()) == sorted(scores.precision.values(), reverse=True)


def test_the_state_agrees_with_plain_means() -> None:
    predictions, truths = random_masks(30), random_masks(30, seed=1)
    pairs = [intersection_union(*pair) for pair in zip(predictions, truths, strict=True)]
    shared, joined = np.array(pairs).T
    scores = ScoreState().update(shared, joined).compute()
    assert scores.miou == pytest.approx(np.mean(shared / joined))
    assert scores.oiou == pytest.approx((predictions & truths).sum() / (predictions | truths).sum())
    assert scores.oiou == overall_iou(shared, joined)
    assert np.array_equal(row_ious(shared, joined), shared / joined)


@pytest.mark.parametrize(
    ("shared", "joined", "candidate", "message"),
    [
        ([3], [2], None, "larger than its union"),
        ([-1], [2], None, "negative"),
        ([1, 2], [2], None, "lengths"),
        ([1], [2], [False], "without a candidate"),
        ([0.5], [1], None, "not IoUs"),
    ],
)
def test_impossible_counts_are_refused(
    shared: list[float], joined: list[int], candidate: list[bool] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ScoreState().update(shared, joined, has_candidate_R=candidate)


def test_states_of_different_rules_do_not_merge() -> None:
    with pytest.raises(ValueError, match="merge"):
        ScoreState().merge(ScoreState(empties="compat"))
    with pytest.raises(ValueError, match="count, compat"):
        ScoreState(empties="other")  # type: ignore[arg-type]
