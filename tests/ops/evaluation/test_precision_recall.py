"""The precision-recall curve of pixels, against sorting them all."""

import numpy as np
import pytest
import torch

from ops.evaluation.precision_recall import PrecisionRecallState


def sorted_area(chances: np.ndarray, truth: np.ndarray) -> float:
    """Average precision, thresholds one by one."""
    area, before = 0.0, 0.0
    for threshold in sorted(set(chances.ravel()), reverse=True):
        found = chances >= threshold
        recall = (found & truth).sum() / truth.sum()
        area += (recall - before) * (found & truth).sum() / found.sum()
        before = recall
    return area


def test_the_area_is_average_precision_over_all_images() -> None:
    rng = np.random.default_rng(0)
    chances, truth = rng.integers(0, 1001, (3, 6, 7)) / 1000, rng.random((3, 6, 7)) < 0.3
    state, shard = PrecisionRecallState(), PrecisionRecallState()
    state.update(torch.from_numpy(chances[0]), torch.from_numpy(truth[0]))
    for image in (1, 2):
        shard.update(torch.from_numpy(chances[image]).float(), torch.from_numpy(truth[image]))
    assert state.merge(shard).area() == pytest.approx(sorted_area(chances, truth))


def test_counts_can_be_stored_and_taken_up_again() -> None:
    truth = torch.tensor([[True, False, True, False]])
    state = PrecisionRecallState().update(torch.tensor([[0.9, 0.8, 0.8, 0.1]]), truth)
    again = PrecisionRecallState(state.counts_2K)
    assert again.area() == state.area()
    again.update(torch.zeros(1, 4), truth)
    assert state.counts_2K.sum() == 4


def test_a_perfect_predictor_has_area_one_and_a_constant_one_the_share_of_foreground() -> None:
    truth = torch.zeros(4, 5, dtype=torch.bool)
    truth[1:3, :2] = True
    assert PrecisionRecallState().update(truth.float(), truth).area() == 1.0
    assert PrecisionRecallState().update(torch.full((4, 5), 0.4), truth).area() == pytest.approx(0.2)


def test_the_curve_starts_at_the_surest_pixels_and_ends_with_all() -> None:
    truth = torch.tensor([[True, False, True, False]])
    precision, recall = PrecisionRecallState().update(torch.tensor([[0.9, 0.8, 0.8, 0.1]]), truth).curve()
    assert precision.tolist() == pytest.approx([1, 2 / 3, 1 / 2])
    assert recall.tolist() == pytest.approx([1 / 2, 1, 1])


def test_what_cannot_be_counted_is_refused() -> None:
    empty = torch.zeros(2, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match="recall is undefined"):
        PrecisionRecallState().update(torch.zeros(2, 2), empty).area()
    with pytest.raises(ValueError, match="recall is undefined"):
        PrecisionRecallState().area()
    with pytest.raises(ValueError, match="softmax"):
        PrecisionRecallState().update(torch.full((2, 2), 1.5), empty)
    with pytest.raises(ValueError, match="differ"):
        PrecisionRecallState().update(torch.zeros(2, 3), empty)
