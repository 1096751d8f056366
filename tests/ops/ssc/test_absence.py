"""The threshold of absent objects against a search over all thresholds."""

import numpy as np
import pytest

from ops.ssc.absence import calibrate

TRUE = np.random.default_rng(1).normal(25, 2, 200).tolist()
SWAPPED = np.random.default_rng(2).normal(22, 2, 300).tolist()


@pytest.mark.parametrize("keep", [1.0, 0.95, 0.8, 0.5, 0.001])
def test_a_share_of_the_true_sentences_is_kept_and_the_threshold_is_the_highest_that_does(keep: float) -> None:
    found = calibrate(TRUE, SWAPPED, keep=keep)
    kept = [np.mean(np.array(TRUE) >= threshold) for threshold in sorted(TRUE)]
    assert found.threshold == max(score for score, share in zip(sorted(TRUE), kept, strict=True) if share >= keep)
    assert found.lost == pytest.approx(1 - np.mean(np.array(TRUE) >= found.threshold))
    assert found.n_acc == np.mean(np.array(SWAPPED) < found.threshold)


def test_the_balanced_point_is_the_best_of_all() -> None:
    found = calibrate(TRUE, SWAPPED, keep="balanced")
    best = max((np.mean(np.array(SWAPPED) < t) + np.mean(np.array(TRUE) >= t)) / 2 for t in TRUE)
    assert (found.n_acc + 1 - found.lost) / 2 == pytest.approx(best)
    assert calibrate([3.0, 3.0], [3.0], keep="balanced").lost == 0


def test_nothing_to_learn_from_is_told() -> None:
    with pytest.raises(ValueError, match=r"here are 1 and 0.*absent: null"):
        calibrate([1.0], [], keep=0.9)
