"""Step 1's losses against numpy and torch oracles; what is excluded and clipped."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ops.tris.losses import (
    PRESETS,
    LossWeights,
    classification_loss,
    compared_texts,
    false_negatives,
    focal_mask_penalty,
    mask_shares,
    negative_calibration,
    positive_calibration,
    scores,
    weigh,
)


def test_scores_follow_the_formula() -> None:
    response = torch.randn(3, 4, 2, 5, dtype=torch.float64) * 3
    expected = np.zeros((3, 4))
    for image in range(3):
        flat = response[image].flatten(1).numpy()
        logits = np.concatenate([np.ones((1, 10)), flat])
        share = (np.exp(logits) / np.exp(logits).sum(0))[1:].mean(1)
        expected[image] = flat.max(1) + flat.mean(1) + (1 - share) ** 3 * np.log(0.01 + share)
    np.testing.assert_allclose(scores(response), expected, atol=1e-12)


def test_the_penalty_ends_at_ln_of_a_hundredth_and_at_zero() -> None:
    ends = focal_mask_penalty(torch.tensor([0.0, 1.0], dtype=torch.float64))
    np.testing.assert_allclose(ends, [np.log(0.01), 0.0], atol=1e-12)


def test_classification_is_the_multi_label_soft_margin_loss() -> None:
    values = torch.randn(6, 6, dtype=torch.float64) * 4
    expected = F.multilabel_soft_margin_loss(values, torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(classification_loss(values), expected)


def test_images_and_texts_must_be_paired() -> None:
    with pytest.raises(ValueError, match="one text for every image"):
        classification_loss(torch.zeros(3, 4))


def test_excluded_pairs_neither_count_nor_get_a_gradient() -> None:
    values = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    exclude = torch.tensor([[False, True, True], [False, False, False], [False, True, False]])
    exclude[2, 1] = True
    loss = classification_loss(values, exclude_BN=exclude)
    losses = F.binary_cross_entropy_with_logits(values, torch.eye(3, dtype=torch.float64), reduction="none")
    rows = [losses[0, 0], losses[1].mean(), losses[2, [0, 2]].mean()]
    torch.testing.assert_close(loss, torch.stack(rows).mean())
    loss.backward()
    assert values.grad is not None
    assert torch.equal(values.grad == 0, exclude)


def test_excluding_nothing_is_the_same_as_not_excluding() -> None:
    values = torch.randn(4, 4)
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    torch.testing.assert_close(classification_loss(values, exclude_BN=nothing), classification_loss(values))


def test_equal_words_and_equal_images_are_false_negatives() -> None:
    ids = torch.tensor([[48, 5, 49], [48, 6, 49], [48, 5, 49], [48, 7, 49]])
    found = false_negatives(ids, torch.tensor([0, 1, 2, 1]))
    assert found.nonzero().tolist() == [[0, 2], [1, 3], [2, 0], [3, 1]]


def test_clipped_positives_are_finite_and_get_no_gradient() -> None:
    cosines = torch.tensor([-0.3, 0.0, 0.5, 1.0], requires_grad=True)
    loss = positive_calibration(cosines)
    expected = -np.log([1e-4, 1e-4, 0.5, 0.9999]).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert cosines.grad is not None
    assert cosines.grad.tolist() == [0, 0, -0.5, 0]


def test_negatives_are_averaged_so_that_their_number_does_not_weigh() -> None:
    row = torch.rand(5, 2)
    torch.testing.assert_close(negative_calibration(row), negative_calibration(row.repeat(1, 4)))


@pytest.mark.parametrize(("preset", "expected"), [("paper", 5 * 2 + 3 + 6 * 7), ("first_release", 23), ("head", 27)])
def test_presets_weigh_the_parts_as_published(preset: str, expected: float) -> None:
    parts = weigh(torch.tensor(2.0), torch.tensor(3.0), torch.tensor(7.0), weights=PRESETS[preset])  # type: ignore[index]
    assert parts.total.item() == expected


def test_the_default_has_the_papers_six_negatives_at_the_latest_weights() -> None:
    assert LossWeights() == LossWeights(classification=5, positive=1, negative=2, negatives=6, clip_positive=True)
    assert PRESETS["paper"].negative == PRESETS["paper"].negatives
    assert not LossWeights(positive=0, negative=0).calibrated


def test_images_are_compared_with_their_own_text_and_those_of_their_neighbours() -> None:
    found = compared_texts(4, 1)
    assert found is not None
    assert found.int().tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]]
    for negatives in (0, 2, 3, 9):
        found = compared_texts(4, negatives)
        assert found is not None
        assert found.diagonal().all()
        assert (found.sum(0) == min(negatives, 3) + 1).all()
        assert (found.sum(1) == min(negatives, 3) + 1).all()
    assert compared_texts(4, None) is None


def test_texts_that_are_not_compared_take_no_share_of_an_image() -> None:
    response = torch.randn(4, 4, 2, 3, dtype=torch.float64)
    among = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()
    shares = mask_shares(response, among)
    torch.testing.assert_close(shares[:2, :2], mask_shares(response[:2, :2]))
    torch.testing.assert_close(shares[2:, 2:], mask_shares(response[2:, 2:]))
    assert not shares[~among].any()
