"""Referring segmenters are built on pretrained trunks and come back from their description."""

import json
from typing import Any

import pytest
import torch

from ops.meres.config import EMBEDDED as EMBEDDED_MERES
from ops.meres.model import Meres
from ops.segmenters.lavt import EMBEDDED, Lavt
from resources.models.referring import architecture_of, build, segmenter_from
from resources.models.swin_bert import load_swin


def described(model: Lavt | Meres) -> Any:
    """Its description, as it lies on disk."""
    return json.loads(json.dumps(architecture_of(model)))


def test_the_embedded_meres_starts_from_its_trunk_and_a_seed() -> None:
    one, tokenizer = build(Meres, "embedded", seed=1)
    same, _ = build(Meres, "embedded", seed=1)
    other, _ = build(Meres, "embedded", seed=2)
    trunk = load_swin("embedded", config=EMBEDDED_MERES.swin)
    assert all(torch.equal(value, trunk[name]) for name, value in one.vision.swin.state_dict().items())
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in one.state_dict().items())
    assert not torch.equal(one.vision.decoder.head.weight, other.vision.decoder.head.weight)
    assert tokenizer.max_tokens == 21
    assert one.config == EMBEDDED_MERES


def test_building_a_model_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    build(Meres, "embedded", seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_a_turned_switch_and_unequal_sizes_survive_the_description() -> None:
    model, _ = build(Meres, "embedded", switches={"guidance": "ve", "selected_percent": 80})
    again = segmenter_from(described(model))
    assert isinstance(again, Meres)
    again.load_state_dict(model.state_dict())
    assert again.config == model.config
    assert (again.config.guidance, again.config.selected_percent) == ("ve", 80)
    images, ids = torch.zeros(1, 3, 160, 160, dtype=torch.uint8), torch.ones(1, 21, dtype=torch.long)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(images, ids, ids), model.eval()(images, ids, ids))


def test_a_description_tells_lavt_and_meres_apart() -> None:
    lavt, _ = build(Lavt, "embedded")
    meres, _ = build(Meres, "embedded")
    assert isinstance(segmenter_from(described(lavt)), Lavt)
    assert isinstance(segmenter_from(described(meres)), Meres)
    assert segmenter_from(described(lavt)).config == EMBEDDED


def test_full_size_asks_for_its_checkpoints_and_an_unknown_switch_is_refused() -> None:
    with pytest.raises(ValueError, match="bert-base-uncased"):
        build(Meres, "swin_b")
    with pytest.raises(TypeError, match="guidence"):
        build(Meres, "embedded", switches={"guidence": "le"})
