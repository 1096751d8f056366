"""The frozen scorer, and the loss of a whole batch."""

import torch
from torch.nn import functional as F

from ops.tris.calibration import Scorer, cosines, response_loss
from ops.tris.losses import LossWeights, classification_loss, scores
from tests.ops.tris import tiny

B, K = 3, 2


def scorer() -> Scorer:
    return Scorer(tiny.clip(tiny.VIT))


def sample(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Responses, images, embedded texts and negatives."""
    torch.manual_seed(seed)
    texts, negatives = (F.normalize(torch.randn(*shape, tiny.EMBED), dim=-1) for shape in ((B,), (B, K)))
    return torch.randn(B, B, 3, 3, requires_grad=True), tiny.images(B), texts, negatives


def test_nothing_in_the_scorer_learns_but_gradients_reach_the_response() -> None:
    judge, (response, images, texts, negatives) = scorer(), sample()
    weights = LossWeights(classification=0)
    response_loss(response, images, texts, negatives, scorer=judge, weights=weights).total.backward()
    assert all(one.grad is None and not one.requires_grad for one in judge.parameters())
    assert response.grad is not None
    reached = response.grad.abs().sum((2, 3)) > 0
    assert torch.equal(reached, torch.eye(B, dtype=torch.bool))  # only an image's own map is looked through


def test_the_scorer_stays_in_eval_mode() -> None:
    judge = scorer()
    torch.nn.ModuleList([judge]).train()
    assert not any(module.training for module in judge.modules())


def test_a_mask_of_ones_leaves_the_picture_as_clip_sees_it() -> None:
    judge, images = scorer(), tiny.images(2, side=28)
    seen = judge.embed_masked(images, torch.ones(2, 1, 28, 28))
    torch.testing.assert_close(seen, judge.clip.encode_image(images, normalize=True))


def test_hidden_pixels_do_not_matter() -> None:
    judge, images = scorer(), tiny.images(2, side=28)
    mask = torch.zeros(1, 1, 28, 28)
    mask[..., :14] = 1
    changed = images.clone()
    changed[..., 14:] = 7
    torch.testing.assert_close(judge.embed_masked(images, mask), judge.embed_masked(changed, mask))


def test_cosines_of_an_image_with_its_text_and_its_negatives() -> None:
    torch.manual_seed(0)
    masked, texts, negatives = (torch.randn(*shape, 6) for shape in ((B,), (B,), (B, K)))
    masked, texts, negatives = (F.normalize(one, dim=-1) for one in (masked, texts, negatives))
    own, other = cosines(masked, texts, negatives)
    torch.testing.assert_close(own, F.cosine_similarity(masked, texts))
    torch.testing.assert_close(other, F.cosine_similarity(masked[:, None], negatives, dim=-1))


def test_the_loss_is_made_of_its_parts() -> None:
    judge, (response, images, texts, negatives) = scorer(), sample(seed=3)
    parts = response_loss(response, images, texts, negatives, scorer=judge, weights=LossWeights())
    masks = F.interpolate(response.diagonal().permute(2, 0, 1)[:, None], size=(tiny.SIDE, tiny.SIDE), mode="bilinear")
    masked = judge.embed_masked(images, masks.sigmoid())
    positive = -(masked * texts).sum(1).clamp(1e-4, 0.9999).log().mean()
    negative = -(1 - torch.einsum("be,bke->bk", masked, negatives)).log().mean()
    torch.testing.assert_close(parts.positive, positive)
    torch.testing.assert_close(parts.negative, negative)
    torch.testing.assert_close(parts.classification, classification_loss(scores(response)))
    torch.testing.assert_close(parts.total, 5 * parts.classification + positive + 2 * negative)


def test_without_calibration_the_scorer_does_not_run() -> None:
    judge, (response, images, texts, negatives) = scorer(), sample()
    judge.clip.visual.register_forward_pre_hook(lambda module, inputs: 1 / 0)
    weights = LossWeights(positive=0, negative=0)
    parts = response_loss(response, images, texts, negatives, scorer=judge, weights=weights)
    assert parts.total.item() == 5 * parts.classification.item()
    assert parts.positive.item() == parts.negative.item() == 0


def test_texts_are_unit_vectors_of_clip() -> None:
    judge, ids = scorer(), tiny.ids(4)
    long = torch.cat([ids, torch.zeros(4, tiny.CONTEXT - ids.shape[1], dtype=torch.long)], 1)
    torch.testing.assert_close(judge.embed_texts(ids), judge.clip.encode_text(long, normalize=True))


def test_classification_among_few_texts_is_that_of_smaller_batches() -> None:
    response, images = torch.randn(4, 4, 3, 3), tiny.images(4)
    among, empty = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool(), torch.empty(0)
    alone = LossWeights().uncalibrated
    loss = response_loss(response, images, empty, empty, scorer=None, weights=alone, among_BN=among)
    parts = [classification_loss(scores(response[part, part])) for part in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(loss.classification, torch.stack(parts).mean())
    exclude = torch.zeros(4, 4, dtype=torch.bool)
    exclude[0, 1] = exclude[0, 3] = True
    less = response_loss(response, images, empty, empty, scorer=None, weights=alone, exclude_BN=exclude, among_BN=among)
    expected = classification_loss(scores(response, among), exclude_BN=exclude | ~among)
    torch.testing.assert_close(less.classification, expected)
