"""TRIS at its published sizes, counted without weights: parameters and multiply-adds (spec 7, supplement Tab. 2)."""

import open_clip
import pytest
import torch

from ops.evaluation.flop_count import multiply_adds, parameters
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


def test_step_1_has_113559906_parameters(clip: open_clip.CLIP, responder: ResponseModel) -> None:
    assert parameters(clip) == 102_007_137
    assert parameters(clip.visual.attnpool) == 14_789_632
    assert parameters(responder.head.visual) == 2_098_176
    assert parameters(responder.head.text) == 1_049_600
    assert parameters(responder.head.prompt) == 8_404_992
    assert parameters(responder) == 113_559_906


def test_step_2_has_142085869_parameters(segmenter: TrisSegmenter) -> None:
    assert [parameters(one) for one in segmenter.fusion.attentions] == [1_577_984, 5_253_120, 18_894_848]
    assert [parameters(one) for one in segmenter.decoder.laterals] == [147_585, 590_081, 2_359_809, 9_438_209]
    assert [parameters(one) for one in segmenter.decoder.steps] == [18_497, 73_857, 295_169, 1_180_161]
    assert [parameters(one) for one in segmenter.decoder.heads] == [9_313, 18_529, 73_921, 147_649]
    assert parameters(segmenter) == 142_085_869


def test_multiply_adds_at_320_by_320(responder: ResponseModel, segmenter: TrisSegmenter) -> None:
    inputs = torch.empty(1, 3, 320, 320, device="meta"), torch.zeros(1, 20, dtype=torch.long, device="meta")
    assert multiply_adds(responder.eval(), *inputs).total / 1e9 == pytest.approx(12.403, abs=0.0005)
    assert multiply_adds(segmenter.eval(), *inputs).total / 1e9 == pytest.approx(21.256, abs=0.0005)
