"""MERES at full size, counted without weights, and the embedded size on its pretrained towers (spec 2, 7, 8)."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import BertConfig

from ops.backbones.language import Bert
from ops.evaluation.flop_count import parameters
from ops.meres.config import EMBEDDED, SWIN_B_480
from ops.meres.model import Meres, optimizer_groups
from resources.embedded.cards import EMBEDDED_FOLDER as FOLDER
from resources.models.swin_bert import load_bert, load_swin, new_bert


@pytest.fixture(scope="module")
def model() -> Meres:
    with torch.device("meta"):
        return Meres(SWIN_B_480, Bert(new_bert(BertConfig())))


def test_parameters_agree_with_the_breakdown(model: Meres) -> None:
    vision, guide = model.vision, model.vision.guide
    assert guide.enhancement is not None
    assert guide.extractor is not None
    assert guide.values is not None
    extractor = guide.extractor
    assert extractor.refinement is not None
    assert extractor.relationship is not None
    assert parameters(vision.swin, vision.output_norms) == 86_880_376
    assert parameters(model.language.model) == 108_891_648
    assert [parameters(layer) for layer in guide.enhancement.layers] == [7_087_872] * 2
    assert parameters(extractor.joint_pixels, extractor.joint_tokens) == 918_528
    assert parameters(guide.values) == 788_736
    assert parameters(extractor.refinement) == parameters(extractor.relationship) == 7_087_872
    assert parameters(vision.decoder.steps, vision.decoder.head) == 20_651_010
    assert [parameters(look) for look in vision.decoder.looks] == [3_676_160] + [1_313_792] * 3
    assert parameters(model) == 254_105_467
    assert parameters(model) / 1e6 == pytest.approx(254.1, abs=0.1)
    learning = sum(one.numel() for one in model.parameters() if one.requires_grad)
    assert learning / 1e6 == pytest.approx(230.3, abs=0.1)


def test_only_the_enhancement_drops_out(model: Meres) -> None:
    rates = {name: one.p for name, one in model.vision.guide.named_modules() if isinstance(one, nn.Dropout)}
    assert {name for name, rate in rates.items() if rate} == {f"enhancement.layers.{n}.dropout" for n in range(2)}
    assert set(rates.values()) == {0.0, 0.1}


def test_groups_of_the_optimizer_at_full_size(model: Meres) -> None:
    groups = {group["name"]: group for group in optimizer_groups(model)}
    assert {name: group["weight_decay"] for name, group in groups.items()} == {
        "pretrained": 0.01,
        "pretrained, undecayed": 0.0,
        "new": 0.01,
        "new, undecayed": 0.0,
        "temperature": 0.0,
    }
    assert {group["rate"] for group in groups.values()} == {1.0}
    pretrained = sum(one.numel() for name in ("pretrained", "pretrained, undecayed") for one in groups[name]["params"])
    assert pretrained == 86_876_536 + 85_054_464


@pytest.mark.parametrize(("size", "sides"), [(480, (120, 60, 30, 15)), (416, (104, 52, 26, 13))])
def test_maps_of_the_trunk(model: Meres, size: int, sides: tuple[int, ...]) -> None:
    with torch.device("meta"), torch.no_grad():
        maps = model.eval().vision.features(torch.empty(1, 3, size, size), torch.empty(1, 21, 768), torch.empty(1, 21))
    expected = [(1, width, side, side) for width, side in zip((128, 256, 512, 1024), sides, strict=True)]
    assert [tuple(one.shape) for one in maps] == expected


@pytest.mark.parametrize(
    ("changes", "fewer"),
    [
        ({"refine": False}, 7_087_872 + 1_536),
        ({"relate": False}, 7_087_872),
        ({"contrastive": False}, 1),
        ({"enhancement_layers": 1}, 7_087_872),
        ({"guidance": "le_enh+pixels"}, 918_528 + 2 * 7_087_872 + 1_536 + 1),
    ],
    ids=str,
)
def test_parts_that_are_off_have_no_parameters(model: Meres, changes: dict[str, int], fewer: int) -> None:
    with torch.device("meta"):
        smaller = Meres(replace(SWIN_B_480, **changes), Bert(new_bert(BertConfig())))  # type: ignore[arg-type]
    assert parameters(model) - parameters(smaller) == fewer


@pytest.mark.skipif(
    not all((FOLDER / name / "card.json").is_file() for name in ("swin", "bert")),
    reason="the embedded swin and bert are not trained yet",
)
def test_the_embedded_size_takes_the_embedded_towers() -> None:
    bert, tokenizer = load_bert("embedded", max_tokens=EMBEDDED.max_tokens)
    model = Meres(EMBEDDED, Bert(bert)).eval()
    model.vision.swin.load_state_dict(load_swin("embedded", config=EMBEDDED.swin), strict=True)
    ids, mask = tokenizer.encode(["left man in red", "the green one"])
    images = torch.zeros(1, 3, EMBEDDED.image_size, EMBEDDED.image_size, dtype=torch.uint8)
    with torch.no_grad():
        maps = model(images, ids, mask, image_of_B=torch.tensor([0, 0]))
    assert ids.shape == (2, 21)
    assert maps.shape == (2, 3, 112, 112)
    assert maps.isfinite().all()
