"""What several sentences say together, and how likely a candidate is by its score."""

import numpy as np
import pytest

from ops.ssc.consensus import agreed_scores, candidate_prior

SCORES = np.array([[20.0, 22.0, 21.0], [30.0, 26.0, 29.5]])


def test_sentences_agree_by_mean_by_product_or_not_at_all() -> None:
    assert agreed_scores(SCORES, "mean") == pytest.approx([25.0, 24.0, 25.25])
    assert agreed_scores(SCORES, "first").tolist() == [20.0, 22.0, 21.0]
    likely = np.prod([np.exp(row) / np.exp(row).sum() for row in SCORES], axis=0)
    assert np.exp(agreed_scores(SCORES, "product")) == pytest.approx(likely)


def test_the_product_has_the_order_of_the_mean_and_no_level_of_a_sentence() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores_SN = rng.normal(25, 3, (int(rng.integers(1, 5)), int(rng.integers(1, 6))))
        level_S1 = rng.normal(0, 9, (len(scores_SN), 1))
        product_N = agreed_scores(scores_SN, "product")
        assert np.argsort(product_N).tolist() == np.argsort(agreed_scores(scores_SN, "mean")).tolist()
        assert agreed_scores(scores_SN + level_S1, "product") == pytest.approx(product_N)
        assert agreed_scores(np.repeat(scores_SN, 2, axis=0), "product") == pytest.approx(2 * product_N)


@pytest.mark.parametrize(
    ("scores", "prior"),
    [
        ([0.0, np.log(3.0)], [0.25, 0.75]),
        ([800.0, None, 800.0 + np.log(3.0)], [0.25, 0.0, 0.75]),  # a small mask is not asked for
        ([None, None], [0.5, 0.5]),
        ([None], [1.0]),
        ([], []),
    ],
)
def test_a_prior_is_the_softmax_of_the_scores_that_there_are(scores: list[float | None], prior: list[float]) -> None:
    assert candidate_prior(scores) == pytest.approx(prior)
