"""Image towers in the place of CLIP's ResNet: their maps, what learns, and that they come back from a card."""

import json

import pytest
import torch
from torchvision.models.resnet import Bottleneck
from torchvision.models.resnet import ResNet as TorchResNet

from ops.backbones.swin import SwinConfig
from ops.tris.image_towers import ResNetTower, SwinTower, Tower, tower_from
from ops.tris.irnet import IrnetConfig
from ops.tris.response import ResponseConfig, ResponseModel
from ops.tris.segmenter import SegmenterConfig, TrisSegmenter
from tests.ops.tris import tiny

SWIN = SwinConfig(embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), window=3, drop_path=0.0)
RESNET = IrnetConfig(width=16, blocks=(1, 1, 1, 1))


def towers() -> list[Tower]:
    torch.manual_seed(0)
    return [SwinTower(SWIN), ResNetTower(RESNET)]


@pytest.mark.parametrize("number", [0, 1])
def test_maps_have_the_strides_and_widths_of_clips(number: int) -> None:
    tower = towers()[number].eval()
    with torch.no_grad():
        maps = tower(torch.randn(2, 3, 64, 96))
    expected = [
        (2, width, 64 // stride, 96 // stride) for width, stride in zip(tower.widths, (4, 8, 16, 32), strict=True)
    ]
    assert [tuple(one.shape) for one in maps] == expected
    assert tower_from(json.loads(json.dumps(tower.card()))).state_dict().keys() == tower.state_dict().keys()


def test_the_resnet_is_torchvisions() -> None:
    torch.manual_seed(1)
    theirs = TorchResNet(Bottleneck, [1, 1, 1, 1], width_per_group=64).eval()
    ours = ResNetTower(IrnetConfig(width=64, blocks=(1, 1, 1, 1))).eval()
    ours.load_state_dict({name: value for name, value in theirs.state_dict().items() if not name.startswith("fc.")})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        x = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x))))
        torch.testing.assert_close(ours(images)[-1], x)


@pytest.mark.parametrize("number", [0, 1])
def test_both_steps_learn_with_another_tower_and_all_that_is_grouped_learns(number: int) -> None:
    response = ResponseModel(ResponseConfig(width=16, image_size=64), tiny.clip(tiny.RESNET), towers()[number])
    segmenter = TrisSegmenter(
        SegmenterConfig(laterals=(8, 8, 16, 16), finest=8, image_size=64), tiny.clip(tiny.RESNET), towers()[number]
    )
    for model in (response.train(), segmenter.train()):
        made = model(tiny.images(3, side=64), tiny.ids(3))
        sum(one.square().sum() for one in (made if isinstance(made, list) else [made])).backward()
        learning = {id(one): name for name, one in model.named_parameters() if one.grad is not None}
        grouped = [id(one) for group in model.optimizer_groups() for one in group["params"]]
        assert {learning.get(one) for one in grouped} >= {"tower." + name for name in _learnt_names(towers()[number])}
        assert not [name for name, _ in model.named_parameters() if name.startswith("clip.visual.")]
        assert len(set(grouped)) == len(grouped)
    assert response(tiny.images(3, side=64), tiny.ids(3)).shape == (3, 3, 2, 2)


def _learnt_names(tower: Tower) -> list[str]:
    """Parameters behind the last map."""
    return [name for name, _ in tower.named_parameters() if name.startswith(("swin.patch", "conv1"))]
