"""What the losses of a segmenter weigh."""

import numpy as np
import pytest
import torch

from ops.training.losses import batch_lavt, per_sample, sample_cross_entropy


def plain_cross_entropy(logits: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    total = weights = 0.0
    for (background, foreground), inside in zip(logits.reshape(2, -1).T, mask.ravel(), strict=True):
        weight = 1.1 if inside else 0.9
        chosen = foreground if inside else background
        total += weight * (np.logaddexp(background, foreground) - chosen)
        weights += weight
    return total, weights


def test_losses_agree_with_the_formula() -> None:
    rng = np.random.default_rng(0)
    logits, masks = (
        rng.normal(size=(3, 2, 4, 5)).astype(np.float32),
        rng.random((3, 4, 5)) < [[[0.1]], [[0.5]], [[0.9]]],
    )
    parts = [plain_cross_entropy(one, mask) for one, mask in zip(logits, masks, strict=True)]
    tensors = torch.from_numpy(logits), torch.from_numpy(masks)
    each = [total / weights for total, weights in parts]
    assert sample_cross_entropy(*tensors).tolist() == pytest.approx(each, rel=1e-5)
    assert per_sample(*tensors).item() == pytest.approx(np.mean(each), rel=1e-5)
    totals, weights = np.sum(parts, 0)
    assert batch_lavt(*tensors).item() == pytest.approx(totals / weights, rel=1e-5)
