"""Which pixels a word keeps and how they are averaged (spec 4.2-4.4), against plain formulations."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ops.meres.adaptive_selection import keep_mask, kept_count, masked_pool, pool_weights, similarity

TOKENS, PIXELS = 5, 40


@pytest.fixture
def scores() -> Tensor:
    return torch.rand(2, TOKENS, PIXELS, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def values() -> Tensor:
    return torch.randn(2, PIXELS, 6, generator=torch.Generator().manual_seed(1))


def test_similarity_is_the_cosine_of_every_token_with_every_pixel() -> None:
    rng = np.random.default_rng(0)
    tokens, pixels = rng.normal(size=(2, 3, 7)).astype(np.float32), 9 * rng.normal(size=(2, 5, 7)).astype(np.float32)
    found = similarity(torch.from_numpy(tokens), torch.from_numpy(pixels))
    for sample, token, pixel in np.ndindex(2, 3, 5):
        one, other = tokens[sample, token], pixels[sample, pixel]
        expected = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert found[sample, token, pixel].item() == pytest.approx(expected, abs=1e-6)


def test_similarity_is_float32_also_under_autocast_and_finite_for_zeros() -> None:
    tokens, pixels = torch.randn(1, 3, 7).bfloat16(), torch.randn(1, 5, 7).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = similarity(tokens, pixels)
    assert found.dtype == torch.float32
    assert torch.equal(found, similarity(tokens.float(), pixels.float()))
    nothing = torch.zeros(1, 3, 7, requires_grad=True)
    similarity(nothing, pixels).sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.isfinite().all()


@pytest.mark.parametrize(
    ("pixels", "percent", "expected"),
    [(225, 10, 22), (225, 30, 67), (225, 80, 180), (169, 30, 50), (16, 30, 4), (2, 30, 1), (225, 100, 225)],
)
def test_the_share_is_rounded_down_to_at_least_one_pixel(pixels: int, percent: int, expected: int) -> None:
    assert kept_count(pixels, percent) == expected


@pytest.mark.parametrize("percent", [1, 30, 80, 100])
def test_every_token_keeps_its_most_similar_pixels(scores: Tensor, percent: int) -> None:
    keep = keep_mask(scores, select="topk", percent=percent)
    for row, kept in zip(scores.flatten(0, 1).numpy(), keep.flatten(0, 1), strict=True):
        assert set(kept.nonzero().flatten().tolist()) == set(np.argsort(-row)[: kept_count(PIXELS, percent)].tolist())


def test_equal_similarities_still_keep_exactly_so_many() -> None:
    assert keep_mask(torch.zeros(1, 3, PIXELS), select="topk", percent=30).sum(-1).tolist() == [[12, 12, 12]]


@pytest.mark.parametrize("tau", [0.01, 0.3, 1.0, 10.0])
def test_sigmoid_selection_is_the_same_at_every_temperature(scores: Tensor, tau: float) -> None:
    assert torch.equal(keep_mask(scores, select="sigmoid", percent=30), (scores / tau).sigmoid() > 0.5)


def test_a_token_unlike_all_pixels_keeps_all_of_them_and_gives_no_nan(scores: Tensor, values: Tensor) -> None:
    scores[0, 1] = -scores[0, 1].abs()
    scores.requires_grad_()
    keep = keep_mask(scores, select="sigmoid", percent=30)
    assert keep[0, 1].all()
    assert not keep[0, 0].all()
    pooled = masked_pool(pool_weights(scores, keep), values, keep)
    pooled.sum().backward()
    assert pooled.isfinite().all()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_no_selection_keeps_every_pixel(scores: Tensor) -> None:
    assert keep_mask(scores, select="none", percent=30).all()


def test_weights_sum_to_one_over_the_kept_pixels_and_are_zero_elsewhere(scores: Tensor) -> None:
    keep = keep_mask(scores, select="topk", percent=30)
    weights = pool_weights(scores, keep)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, TOKENS))
    assert (weights[~keep] == 0).all()
    assert (weights[keep] > 0).all()
    kept = weights[keep].view(2, TOKENS, -1)
    assert (kept.amax(-1) / kept.amin(-1)).max() <= np.exp(2)


def test_without_its_mask_the_softmax_covers_all_pixels(scores: Tensor) -> None:
    keep = keep_mask(scores, select="topk", percent=30)
    weights = pool_weights(scores, keep, norm_mask=False).numpy()
    expected = np.exp(scores.numpy())
    assert np.allclose(weights, expected / expected.sum(-1, keepdims=True), atol=1e-7)


@pytest.mark.parametrize("scale", ["mean", "paper"])
def test_pooling_equals_repeating_weighting_and_summing(scores: Tensor, values: Tensor, scale: str) -> None:
    keep = keep_mask(scores, select="topk", percent=30)
    weights = pool_weights(scores, keep)
    repeated = values[:, None].repeat(1, TOKENS, 1, 1)
    expected = (repeated * weights[..., None]).sum(2) / (12 if scale == "paper" else 1)
    found = masked_pool(weights, values, keep, scale="paper" if scale == "paper" else "mean")
    torch.testing.assert_close(found, expected)


def test_the_papers_scale_divides_by_what_each_token_keeps(scores: Tensor, values: Tensor) -> None:
    keep = keep_mask(scores, select="sigmoid", percent=30)
    weights = pool_weights(scores, keep)
    mean, paper = (masked_pool(weights, values, keep, scale=scale) for scale in ("mean", "paper"))
    torch.testing.assert_close(paper * keep.sum(-1, keepdim=True), mean)
    assert len(set(keep.sum(-1).flatten().tolist())) > 1


def test_gradients_reach_the_kept_similarities_and_no_others(scores: Tensor, values: Tensor) -> None:
    scores.requires_grad_()
    keep = keep_mask(scores, select="topk", percent=30)
    assert not keep.requires_grad
    masked_pool(pool_weights(scores, keep), values, keep).square().sum().backward()
    assert scores.grad is not None
    assert torch.equal(scores.grad != 0, keep)


def test_gradients_of_masked_pooling_are_right() -> None:
    scores = torch.rand(1, 3, 7, dtype=torch.double, requires_grad=True)
    values = torch.randn(1, 7, 2, dtype=torch.double, requires_grad=True)
    keep = keep_mask(scores, select="topk", percent=60)
    assert torch.autograd.gradcheck(lambda s, v: masked_pool(pool_weights(s, keep), v, keep), (scores, values))
