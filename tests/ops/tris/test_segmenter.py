"""Step 2: fusion, decoder, losses, what is trained, inference, schedules."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops.tris.fusion import PixelAttention, WordFusion
from ops.tris.segmenter import SegmenterConfig, TrisSegmenter, segment, segmentation_losses
from tests.ops.tris import tiny

CONFIG = SegmenterConfig(laterals=(4, 6, 8, 10), finest=3, image_size=tiny.SIDE)


@pytest.fixture
def model() -> TrisSegmenter:
    torch.manual_seed(7)
    return TrisSegmenter(CONFIG, tiny.clip(tiny.RESNET))


@torch.no_grad()
def test_attention_follows_the_formula() -> None:
    block, grid, tokens = PixelAttention(6, 4), torch.randn(2, 6, 3, 5), torch.randn(2, 7, 4)
    flat = grid.flatten(2).mT

    def at_pixels(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
        return x @ weight.flatten(1).T + bias

    def normed(x: Tensor) -> Tensor:
        return (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()

    state = block.state_dict()
    query = normed(at_pixels(state["query.0.weight"], state["query.0.bias"], flat))
    weights = (query @ block.key(tokens).mT / math.sqrt(6)).softmax(2)
    mixed = at_pixels(state["gathered.0.weight"], state["gathered.0.bias"], weights @ block.value(tokens))
    joint = at_pixels(block.visual.weight, block.visual.bias, flat).relu() * normed(mixed)  # type: ignore[arg-type]
    expected = at_pixels(block.joint.weight, block.joint.bias, joint).relu()  # type: ignore[arg-type]
    torch.testing.assert_close(block(grid, tokens), expected.mT.reshape(grid.shape), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_fusion_leaves_the_finest_map_and_adds_to_the_others() -> None:
    fusion = WordFusion([6, 8], 4)
    maps, tokens = [torch.randn(1, width, 4, 4) for width in (5, 6, 8)], torch.randn(1, 7, 4)
    fused = fusion(maps, tokens)
    assert fused[0] is maps[0]
    for one, before, attention in zip(fused[1:], maps[1:], fusion.attentions, strict=True):
        torch.testing.assert_close(one, before + attention(before, tokens))


def test_one_map_in_evaluation_and_four_in_training(model: TrisSegmenter) -> None:
    inputs = tiny.images(2), tiny.ids(2)
    assert [tuple(one.shape) for one in model.eval()(*inputs)] == [(2, 1, tiny.SIDE, tiny.SIDE)]
    assert [tuple(one.shape) for one in model.train()(*inputs)] == [(2, 1, tiny.SIDE, tiny.SIDE)] * 4


def test_the_loss_of_a_level_is_the_mean_over_pixels(model: TrisSegmenter) -> None:
    logits, target = [torch.randn(2, 1, 5, 6) for _ in range(4)], torch.rand(2, 1, 5, 6) < 0.5
    for found, level in zip(segmentation_losses(logits, target), logits, strict=True):
        chance = level.double().sigmoid().numpy()
        expected = -np.log(np.where(target.numpy(), chance, 1 - chance)).mean()
        assert found.item() == pytest.approx(expected, rel=1e-5)


def test_images_are_encoded_once_for_several_sentences(model: TrisSegmenter) -> None:
    pictures, sentences, image_of = tiny.images(2), tiny.ids(3), torch.tensor([0, 1, 0])
    seen: list[int] = []
    hook = model.clip.visual.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    found = segment(model.train(), pictures, sentences, image_of_S=image_of)
    assert seen == [2]
    assert not model.training
    hook.remove()
    expected = torch.cat(
        [model(pictures[int(at)][None], row[None])[0] for at, row in zip(image_of, sentences, strict=True)]
    )
    torch.testing.assert_close(found, expected[:, 0], atol=1e-5, rtol=1e-4)


def test_groups_hold_just_the_parameters_that_learn(model: TrisSegmenter) -> None:
    target = torch.rand(2, 1, tiny.SIDE, tiny.SIDE) < 0.5
    torch.stack(segmentation_losses(model.train()(tiny.images(2), tiny.ids(2)), target)).sum().backward()
    names = {id(one): name for name, one in model.named_parameters()}
    clip, head = model.optimizer_groups()
    grouped = [names[id(one)] for group in (clip, head) for one in group["params"]]
    assert len(set(grouped)) == len(grouped)
    assert set(grouped) == {name for name, one in model.named_parameters() if one.grad is not None}
    assert (clip["rate"], head["rate"]) == (0.1, 1.0)


def test_training_lowers_the_loss(model: TrisSegmenter) -> None:
    pictures, sentences = tiny.images(2), tiny.ids(2)
    target = F.interpolate((torch.rand(2, 1, 4, 4) < 0.5).float(), size=(tiny.SIDE, tiny.SIDE))
    optimizer = torch.optim.AdamW(model.optimizer_groups(), lr=0.01)
    curve = []
    for _ in range(6):
        loss = torch.stack(segmentation_losses(model.train()(pictures, sentences), target)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    assert curve[-1] < 0.9 * curve[0]
