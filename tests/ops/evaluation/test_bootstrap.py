"""The bootstrap over images against draws made one by one, and against what theory says."""

import math

import numpy as np
import pytest

from ops.evaluation.bootstrap import RESAMPLES, interval, ratio, resampled_sums


def test_sums_are_those_of_images_drawn_one_by_one() -> None:
    values_IM = np.random.default_rng(1).normal(size=(17, 3))
    random = np.random.default_rng(0)
    drawn = [random.multinomial(17, np.full(17, 1 / 17)) for _ in range(RESAMPLES)]
    expected = [sum(count * row for count, row in zip(counts, values_IM, strict=True)) for counts in drawn]
    np.testing.assert_allclose(resampled_sums(values_IM), expected, atol=1e-12)


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    values_I = np.random.default_rng(2).normal(size=400)
    low, high = interval(ratio(resampled_sums(np.stack([values_I, np.ones(400)], 1))))
    assert low < values_I.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values_I.std() / 20, rel=0.1)


def test_columns_are_drawn_together() -> None:
    """A constant difference has an interval without width, however the values spread."""
    values_I = np.random.default_rng(3).normal(size=50)
    one, other = resampled_sums(np.stack([values_I, values_I + 0.25], 1)).T / 50
    assert interval(other - one) == pytest.approx((0.25, 0.25))


def test_draws_without_a_value_are_left_out() -> None:
    assert ratio(np.array([[1.0, 2.0], [1.0, 0.0]])).tolist()[0] == 0.5
    assert interval([math.nan, 1.0, 1.0]) == (1.0, 1.0)
    assert all(map(math.isnan, interval([math.nan])))
    with pytest.raises(ValueError, match="no image"):
        resampled_sums(np.zeros((0, 2)))
