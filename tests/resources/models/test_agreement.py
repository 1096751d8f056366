"""The same weights in two packages give the same boxes, scores and masks: those of the papers and transformers."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from segment_anything.modeling import ImageEncoderViT
from torch import nn
from transformers import GroundingDinoForObjectDetection, SamModel

from ops.ssc.captions import caption
from resources.models.detection import RawDetections
from resources.models.grounding_dino import DetectorSizes, GroundingDino, build_grounding_dino
from resources.models.hub_grounding_dino import load_hub_grounding_dino
from resources.models.hub_sam import load_hub_sam
from resources.models.sam import PackageSam, SamShape, build_small_sam
from tests.resources.models.hub_folders import BERT, SIDE, bert_tokenizer, made, sam_processor, save
from tests.resources.models.key_maps import (
    GROUNDING_DINO,
    SAM,
    UNUSED_BY_GROUNDING_DINO,
    UNUSED_BY_SAM,
    in_transformers,
)

SIZES = DetectorSizes(
    swin_dim=16,
    swin_depths=(1, 1, 1, 1),
    swin_heads=(1, 2, 2, 2),
    swin_window=4,
    heads=4,
    feedforward=32,
    encoder_layers=2,
    decoder_layers=2,
    queries=20,
    shorter_side=64,
    longer_side=96,
    bert=BERT,
)
SHAPE = SamShape(
    image_size=SIDE,
    encoder_width=32,
    encoder_depth=2,
    encoder_heads=2,
    window=4,
    global_blocks=(1,),
    prompt_width=16,
    decoder_heads=2,
    decoder_mlp=32,
    mask_channels=4,
    iou_hidden=16,
)
BOXES = np.array([[3, 4, 30, 40], [20, 10, 60, 44], [0, 0, 64, 48]], np.float32)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Smooth, so that two ways of resizing agree."""
    rows, columns = np.mgrid[:height, :width] / np.array([[[height]], [[width]]])
    channels = [np.sin(7 * rows + 3 * columns), np.cos(9 * columns * rows), np.sin(11 * (rows - columns) ** 2)]
    return (127.5 * (1 + np.stack(channels, axis=-1))).astype(np.uint8)


def shaken(model: Any, *, by: float) -> Any:
    """The model with no weight at zero, so that every one of them counts."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[GroundingDino, Any]:
    tokenizer = bert_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        package = shaken(build_grounding_dino(SIZES, tokenizer), by=0.05)
    folder = made("grounding-dino", tmp_path_factory.mktemp("hub") / "dino")
    filled = GroundingDinoForObjectDetection.from_pretrained(folder, local_files_only=True)
    weights = in_transformers(package.state_dict(), GROUNDING_DINO, unused=UNUSED_BY_GROUNDING_DINO)
    report = filled.load_state_dict(weights, strict=False)
    assert not report.unexpected_keys
    assert all("swin.layernorm" in key for key in report.missing_keys), "which no feature map passes through"
    save(folder, filled)
    return GroundingDino(package, tokenizer, sizes=SIZES), load_hub_grounding_dino(folder)


def rows(raw: RawDetections) -> torch.Tensor:
    """Each query as its box in shares of the image and the scores of all tokens."""
    return torch.from_numpy(np.concatenate([raw.boxes_Q4 / 80, raw.token_scores_QT], axis=1))


@pytest.mark.parametrize("classes", [["cup"], ["dog", "man", "red cup"]])
@pytest.mark.parametrize("shape", [(64, 80), (48, 60)])
def test_grounding_dino_finds_the_same_boxes_and_scores(
    detectors: tuple[GroundingDino, Any], classes: list[str], shape: tuple[int, int]
) -> None:
    image, text = picture(*shape), caption(classes).text
    ours, theirs = (detector.score([image], [text])[0] for detector in detectors)
    assert ours.offsets == theirs.offsets
    distance_QQ = torch.cdist(rows(ours), rows(theirs), p=float("inf"))
    assert distance_QQ.min(0).values.max() < 1e-3
    assert distance_QQ.min(1).values.max() < 1e-3
    assert ours.token_scores_QT.std() > 0.01, "scores that differ, so that agreement means something"
    assert len(np.unique(ours.boxes_Q4.round(1), axis=0)) > 10


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory: pytest.TempPathFactory) -> tuple[PackageSam, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        package = build_small_sam(SHAPE)
        package.image_encoder = ImageEncoderViT(
            img_size=SIDE,
            patch_size=8,
            embed_dim=32,
            depth=2,
            num_heads=2,
            out_chans=16,
            use_rel_pos=True,
            window_size=4,
            global_attn_indexes=(1,),
            norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6),
        )
        shaken(package.eval(), by=0.05)
    folder = made("sam", tmp_path_factory.mktemp("hub") / "sam")
    filled = SamModel.from_pretrained(folder, local_files_only=True)
    weights = in_transformers(package.state_dict(), SAM, unused=UNUSED_BY_SAM)
    weights["shared_image_embedding.positional_embedding"] = weights[
        "prompt_encoder.shared_embedding.positional_embedding"
    ]
    filled.load_state_dict(weights)
    save(folder, filled, sam_processor())
    return PackageSam(package), load_hub_sam(folder)


@pytest.mark.parametrize("shape", [(48, 64), (96, 128), (64, 40)])
def test_sam_makes_the_same_masks_and_scores(segmenters: tuple[PackageSam, Any], shape: tuple[int, int]) -> None:
    image = picture(*shape)
    (masks, scores), (others, their_scores) = (each.segment(image, BOXES) for each in segmenters)
    assert masks.shape == others.shape == (3, 3, *shape)
    np.testing.assert_allclose(scores, their_scores, atol=1e-3)
    assert (masks != others).mean() < 1e-3
    assert 0.02 < masks.mean() < 0.98


def test_sam_finds_the_same_masks_of_everything(segmenters: tuple[PackageSam, Any]) -> None:
    image = picture(48, 64)
    found = []
    for each in segmenters:
        each.everything = dataclasses.replace(
            each.everything, points_per_side=3, pred_iou_thresh=-9.0, stability_score_thresh=0.0
        )
        found.append(each.automatic(image))
        found.append(each.inside(image, BOXES[:2]))
    for (masks, scores), (others, their_scores) in (found[0::2], found[1::2]):
        np.testing.assert_allclose(scores, their_scores, atol=1e-3)
        assert len(masks) == len(others) > 0
        assert (masks != others).mean() < 1e-3
