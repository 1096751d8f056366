"""Gradient caching: the same loss and gradients as one pass, and what batch norms make of chunks."""

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops.tris.caching import cached_backward
from ops.tris.calibration import Scorer, response_loss
from ops.tris.losses import LossWeights, classification_loss, scores
from ops.tris.response import ResponseConfig, ResponseModel
from tests.ops.tris import tiny

BATCH, SIDE = 4, 64


@pytest.fixture
def model() -> ResponseModel:
    torch.manual_seed(5)
    config = ResponseConfig(width=16, image_size=SIDE, learn_tau=True)
    return ResponseModel(config, tiny.clip(tiny.RESNET)).double()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    return tiny.images(BATCH, side=SIDE).double(), tiny.ids(BATCH)


def whole_loss(images: Tensor, response: Tensor) -> Tensor:
    """Classification and calibration: every sample needs all others and its own image."""
    texts = F.normalize(torch.randn(BATCH, 3, tiny.EMBED, generator=torch.Generator().manual_seed(9)).double(), dim=-1)
    scorer = Scorer(tiny.clip(tiny.VIT)).double()
    return response_loss(response, images, texts[:, 0], texts[:, 1:], scorer=scorer, weights=LossWeights()).total


def gradients(model: ResponseModel) -> dict[str, Tensor]:
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


def statistics(model: ResponseModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.named_buffers() if "running" in name or "tracked" in name}


@pytest.mark.parametrize("chunk", [1, 3, 9])
def test_with_fixed_statistics_loss_and_gradients_are_those_of_the_whole_batch(
    model: ResponseModel, batch: tuple[Tensor, Tensor], chunk: int
) -> None:
    images, ids = batch
    plain = copy.deepcopy(model).eval()
    expected = whole_loss(images, plain(images, ids))
    expected.backward()
    found = cached_backward(model.eval(), images, ids, lambda response: whole_loss(images, response), chunk=chunk)
    torch.testing.assert_close(found, expected.detach(), atol=1e-10, rtol=0)
    assert gradients(model).keys() == gradients(plain).keys()
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(gradients(model)[name], gradient, atol=1e-10, rtol=1e-8, msg=name)


def test_in_training_mode_they_are_those_of_encoders_that_run_chunk_by_chunk(
    model: ResponseModel, batch: tuple[Tensor, Tensor]
) -> None:
    images, ids = batch
    plain = copy.deepcopy(model).train()
    maps = torch.cat([plain.encode_images(part) for part in images.split(3)])
    expected = classification_loss(scores(plain.head(maps, plain.encode_texts(ids))))
    expected.backward()
    found = cached_backward(model.train(), images, ids, lambda one: classification_loss(scores(one)), chunk=3)
    torch.testing.assert_close(found, expected.detach(), atol=1e-10, rtol=0)
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(gradients(model)[name], gradient, atol=1e-10, rtol=1e-8, msg=name)
    for name, value in statistics(plain).items():  # noted once per chunk, though every chunk is encoded twice
        torch.testing.assert_close(statistics(model)[name], value)


def test_in_training_mode_smaller_chunks_are_another_loss(model: ResponseModel, batch: tuple[Tensor, Tensor]) -> None:
    images, ids = batch
    whole, chunked = (
        cached_backward(copy.deepcopy(model).train(), images, ids, lambda one: one.square().mean(), chunk=chunk)
        for chunk in (BATCH, 2)
    )
    assert (whole - chunked).abs() > 1e-4


def test_gradients_are_added_to_those_that_are_there(model: ResponseModel, batch: tuple[Tensor, Tensor]) -> None:
    for _ in range(2):
        cached_backward(model, *batch, lambda one: one.mean(), chunk=2)
    twice = gradients(model)["head.text.weight"].clone()
    model.zero_grad()
    cached_backward(model, *batch, lambda one: one.mean(), chunk=2)
    torch.testing.assert_close(twice, 2 * gradients(model)["head.text.weight"])


def test_batch_norms_go_on_noting_statistics_after_an_error(model: ResponseModel, batch: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="cut the expressions"):
        cached_backward(
            model.train(), batch[0], torch.zeros(BATCH, 99, dtype=torch.long), lambda one: one.mean(), chunk=2
        )
    before = statistics(model)
    model.encode_images(batch[0])
    assert not torch.equal(before["clip.visual.bn1.running_mean"], statistics(model)["clip.visual.bn1.running_mean"])
