"""Blocks that are computed again: the same loss, gradients and running statistics, from less memory."""

import copy
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from ops.tris.activation_checkpointing import checkpointed_blocks
from ops.tris.calibration import Scorer, response_loss
from ops.tris.losses import LossWeights
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


def passed(model: ResponseModel, batch: tuple[Tensor, Tensor], way: AbstractContextManager[None]) -> Tensor:
    with way:
        value = whole_loss(batch[0], model(*batch))
    value.backward()
    return value.detach()


@pytest.mark.parametrize("training", [True, False])
def test_loss_gradients_and_statistics_are_those_of_the_plain_pass(
    model: ResponseModel, batch: tuple[Tensor, Tensor], training: bool
) -> None:
    model.train(training)
    plain = copy.deepcopy(model)
    expected = passed(plain, batch, nullcontext())
    found = passed(model, batch, checkpointed_blocks(model.clip))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    gradients = {name: one.grad for name, one in plain.named_parameters()}
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name], atol=1e-12, rtol=1e-9, msg=name)
    for (name, one), other in zip(model.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(one, other), name  # noted once, though every block runs twice


def test_batch_norms_of_training_see_the_whole_batch(model: ResponseModel, batch: tuple[Tensor, Tensor]) -> None:
    model.train()
    with checkpointed_blocks(model.clip):
        whole = model.encode_images(batch[0])
        halves = torch.cat([model.encode_images(part) for part in batch[0].split(2)])
    assert (whole - halves).abs().mean() > 1e-4


def test_less_is_remembered(model: ResponseModel, batch: tuple[Tensor, Tensor]) -> None:
    def remembered(way: AbstractContextManager[None]) -> int:
        kept: dict[int, Tensor] = {}
        with saved_tensors_hooks(lambda one: kept.setdefault(one.data_ptr(), one), lambda one: one), way:
            model.train()(*batch)
        weights = {one.data_ptr() for one in model.parameters()}
        return sum(one.nbytes for place, one in kept.items() if place not in weights)

    assert remembered(checkpointed_blocks(model.clip)) < remembered(nullcontext()) / 2


def test_afterwards_and_after_an_error_the_model_is_as_before(
    model: ResponseModel, batch: tuple[Tensor, Tensor]
) -> None:
    with pytest.raises(ValueError, match="cut the expressions"), checkpointed_blocks(model.clip):
        model.train()(batch[0], torch.zeros(BATCH, 99, dtype=torch.long))
    assert all("forward" not in vars(one) and "stem" not in vars(one) for one in model.modules())
    before = model.clip.visual.bn1.running_mean.clone()
    model.encode_images(batch[0])
    assert not torch.equal(before, model.clip.visual.bn1.running_mean)
