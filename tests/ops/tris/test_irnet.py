"""IRNet: the trunk is torchvision's, the heads see the right maps, and looking is symmetric where it should be."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck, ResNet

from ops.images import normalise
from ops.tris.irnet import EMBEDDED, RESNET50, FrozenResNet, Irnet, IrnetConfig, edges_and_displacements
from ops.tris.pseudo_labels import grid_size
from resources.models.tris import CLASSIFIER


@pytest.fixture(scope="module")
def net() -> Irnet:
    torch.manual_seed(0)
    return Irnet(EMBEDDED)


def test_the_trunk_takes_torchvisions_weights_and_computes_what_it_computes() -> None:
    torch.manual_seed(1)
    theirs = ResNet(Bottleneck, [1, 2, 1, 2]).eval()
    theirs.layer4[0].conv2.stride = theirs.layer4[0].downsample[0].stride = (1, 1)
    trunk = FrozenResNet(IrnetConfig(blocks=(1, 2, 1, 2)))
    trunk.load_state_dict({key: value for key, value in theirs.state_dict().items() if not CLASSIFIER.fullmatch(key)})
    pictures = torch.randn(2, 3, 45, 70)
    maps = trunk(pictures)
    expected = [theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(pictures))))]
    for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        expected.append(stage(expected[-1]))
    assert [tuple(ours.shape[1:]) for ours in maps] == [
        (64, 12, 18),
        (256, 12, 18),
        (512, 6, 9),
        (1024, 3, 5),
        (2048, 3, 5),
    ]
    assert all(torch.allclose(ours, other, atol=1e-5) for ours, other in zip(maps, expected, strict=True))


def test_the_published_size_has_the_parameters_of_resnet50_and_of_its_heads() -> None:
    with torch.device("meta"):
        net, theirs = Irnet(RESNET50), resnet50()
    names = {name: value.shape for name, value in theirs.state_dict().items() if not name.startswith("fc.")}
    assert names == {name: value.shape for name, value in net.trunk.state_dict().items()}
    edge = 32 * (64 + 256 + 512 + 1024 + 2048) + 5 * 2 * 32 + 160 + 1
    convolutions = 64 * 64 + 256 * 128 + 256 * (512 + 1024 + 2048) + 768 * 256 + 448 * 256 + 256 * 2
    norms = 2 * (64 + 128 + 5 * 256)
    assert sum(value.numel() for value in net.edge.parameters()) == edge
    assert sum(value.numel() for value in net.displacement.parameters()) == convolutions + norms


@pytest.mark.parametrize("size", [(64, 64), (61, 90), (33, 47)])
def test_there_is_an_answer_at_every_fourth_pixel(size: tuple[int, int], net: Irnet) -> None:
    edges, displacement = net(torch.randn(2, 3, *size))
    assert edges.shape == (2, *grid_size(*size))
    assert displacement.shape == (2, 2, *grid_size(*size))


def test_only_the_heads_learn_and_batch_norms_stay_as_they_are(net: Irnet) -> None:
    before = {name: value.clone() for name, value in net.trunk.state_dict().items()}
    edges, displacement = net.train()(torch.randn(2, 3, 64, 64))
    (edges.mean() + displacement.mean()).backward()
    assert all(value.grad is None for value in net.trunk.parameters())
    assert all(value.grad is not None for part in (net.edge, net.displacement) for value in part.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.trunk.state_dict().items())
    net.zero_grad()


def test_the_mean_displacement_is_taken_off_in_eval_mode_alone() -> None:
    torch.manual_seed(2)
    net, pictures = Irnet(EMBEDDED).eval(), torch.randn(1, 3, 64, 64)
    bare = net(pictures)[1]
    net.displacement.mean_2.copy_(torch.tensor([1.0, -2.0]))
    assert torch.allclose(net(pictures)[1], bare - torch.tensor([1.0, -2.0])[:, None, None])
    assert torch.allclose(net.train()(pictures)[1], bare)


def test_norms_come_before_upsampling_and_relu_last(net: Irnet) -> None:
    maps = [torch.randn(1, times * 16, side, side) for times, side in ((1, 16), (4, 16), (8, 8), (16, 4), (32, 4))]
    parts = []
    for of, head, up in zip(maps, net.edge.heads, (1, 1, 2, 4, 4), strict=True):
        weights = head.state_dict()
        normed = F.group_norm(F.conv2d(of, weights["0.weight"]), 4, weights["1.weight"], weights["1.bias"])
        parts.append(F.interpolate(normed, scale_factor=up, mode="bilinear", align_corners=False).relu())
    expected = F.conv2d(torch.cat(parts, dim=1), net.edge.logit.weight, net.edge.logit.bias)[:, 0]
    assert torch.allclose(net.edge(maps), expected, atol=1e-5)


def test_looking_averages_edge_logits_with_the_mirror_image(net: Irnet) -> None:
    image = torch.randint(0, 256, (3, 64, 80), dtype=torch.uint8)
    edges, displacement = edges_and_displacements(net, image)
    mirrored, other = edges_and_displacements(net, image.flip(-1))
    assert torch.allclose(edges, mirrored.flip(-1), atol=1e-5)
    assert not torch.allclose(displacement, other, atol=1e-3)
    logits, alone = net(normalise(image)[None])
    assert torch.allclose(displacement, alone[0], atol=1e-4)
    assert not torch.allclose(edges, logits[0].sigmoid(), atol=1e-3)
    assert ((edges > 0) & (edges < 1)).all()


def test_widths_that_norms_cannot_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        IrnetConfig(width=24)
