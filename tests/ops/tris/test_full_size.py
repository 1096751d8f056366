"""TRIS at its published sizes, counted without weights: parameters and multiply-adds (spec 7, supplement Tab. 2)."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ops.tris.response import ResponseConfig, ResponseModel
from ops.tris.segmenter import SegmenterConfig, TrisSegmenter


@pytest.fixture(scope="module")
def clip() -> open_clip.CLIP:
    with torch.device("meta"):
        return open_clip.CLIP(**open_clip.get_model_config("RN50-quickgelu"))


@pytest.fixture(scope="module")
def responder(clip: open_clip.CLIP) -> ResponseModel:
    with torch.device("meta"):
        return ResponseModel(ResponseConfig(), clip)


@pytest.fixture(scope="module")
def segmenter(clip: open_clip.CLIP) -> TrisSegmenter:
    with torch.device("meta"):
        return TrisSegmenter(SegmenterConfig(), clip)


def count(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


def test_step_1_has_113559906_parameters(clip: open_clip.CLIP, responder: ResponseModel) -> None:
    assert count(clip) == 102_007_137
    assert count(clip.visual.attnpool) == 14_789_632
    assert count(responder.head.visual) == 2_098_176
    assert count(responder.head.text) == 1_049_600
    assert count(responder.head.prompt) == 8_404_992
    assert count(responder) == 113_559_906


def test_step_2_has_142085869_parameters(segmenter: TrisSegmenter) -> None:
    assert [count(one) for one in segmenter.fusion.attentions] == [1_577_984, 5_253_120, 18_894_848]
    assert [count(one) for one in segmenter.decoder.laterals] == [147_585, 590_081, 2_359_809, 9_438_209]
    assert [count(one) for one in segmenter.decoder.steps] == [18_497, 73_857, 295_169, 1_180_161]
    assert [count(one) for one in segmenter.decoder.heads] == [9_313, 18_529, 73_921, 147_649]
    assert count(segmenter) == 142_085_869


def per_element(multiply_adds: int) -> Callable[..., int]:
    """The counter thinks in operations, two for each multiply-add."""
    return lambda *shapes, out_shape, **kwargs: 2 * multiply_adds * prod(first_shape(out_shape))


def first_shape(shapes: Any) -> tuple[int, ...]:
    """Norms give their statistics beside the result."""
    return first_shape(shapes[0]) if isinstance(shapes[0], Sequence) else tuple(shapes)


def multiply_adds(model: nn.Module, *inputs: Tensor) -> float:
    """In units of 10^9, counted as the published numbers were: norms and enlargement included (spec 7)."""
    aten = torch.ops.aten
    counting = {
        aten._native_batch_norm_legit_no_training: per_element(2),
        aten._native_batch_norm_legit: per_element(5),  # instance norms measure their statistics
        aten.native_layer_norm: per_element(5),
        aten.upsample_bilinear2d: per_element(4),
    }
    with FlopCounterMode(display=False, custom_mapping=counting) as counter:
        model.eval()(*inputs)
    return counter.get_total_flops() / 2e9


def test_multiply_adds_at_320_by_320(responder: ResponseModel, segmenter: TrisSegmenter) -> None:
    inputs = torch.empty(1, 3, 320, 320, device="meta"), torch.zeros(1, 20, dtype=torch.long, device="meta")
    assert multiply_adds(responder, *inputs) == pytest.approx(12.403, abs=0.0005)
    assert multiply_adds(segmenter, *inputs) == pytest.approx(21.256, abs=0.0005)
