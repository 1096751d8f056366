"""IRNet: edges and displacements from the maps of a frozen ResNet (TRIS spec 4.2).

One module for all sizes: `RESNET50` is the published one and takes torchvision's weights, `EMBEDDED` the small one.
Shapes: B images, H x W pixels, h x w of the grid of every fourth pixel, C channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from ops.images import normalise


@dataclass(frozen=True, kw_only=True)
class IrnetConfig:
    """Sizes of an IRNet; the defaults are the published ones. Widths of the heads follow from the backbone's."""

    width: int = 64
    """Channels of the backbone's first map, a multiple of 16; the five maps have 1, 4, 8, 16 and 32 times as many."""
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    """Number of bottlenecks of each stage."""

    def __post_init__(self) -> None:
        """Refuse widths that the group norms do not divide."""
        if self.width < 16 or self.width % 16:
            raise ValueError(f"width={self.width} must be a multiple of 16")


RESNET50 = IrnetConfig()
EMBEDDED = IrnetConfig(width=16, blocks=(1, 1, 1, 1))


class ResNet(nn.Module):
    """A ResNet of bottlenecks without a classifier; parameter names are torchvision's."""

    def __init__(self, config: IrnetConfig, *, last_stride: int) -> None:
        super().__init__()
        width = config.width
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(width, width, config.blocks[0], stride=1)
        self.layer2 = _stage(4 * width, 2 * width, config.blocks[1], stride=2)
        self.layer3 = _stage(8 * width, 4 * width, config.blocks[2], stride=2)
        self.layer4 = _stage(16 * width, 8 * width, config.blocks[3], stride=last_stride)

    def maps(self, images_B3HW: Tensor) -> list[Tensor]:
        """Maps of 1, 4, 8, 16 and 32 widths at 1/4, 1/4, 1/8, 1/16 of the size and at the last stride, rounded up."""
        maps = [self.maxpool(self.relu(self.bn1(self.conv1(images_B3HW))))]
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps.append(stage(maps[-1]))
        return maps


class FrozenResNet(ResNet):
    """Frozen backbone whose last stage has stride 1; batch norms always use their running statistics.

    `maps` has gradients, for the pretraining of a backbone.
    """

    def __init__(self, config: IrnetConfig) -> None:
        super().__init__(config, last_stride=1)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "FrozenResNet":
        """Stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images_B3HW: Tensor) -> list[Tensor]:
        """Maps of 1, 4, 8, 16 and 32 widths at 1/4, 1/4, 1/8, 1/16 and 1/16 of the size, rounded up."""
        return self.maps(images_B3HW)


def _stage(inputs: int, planes: int, blocks: int, *, stride: int) -> nn.Sequential:
    outputs = planes * Bottleneck.expansion
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
    later = (Bottleneck(outputs, planes) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, planes, stride, shortcut), *later)


def _head(inputs: int, outputs: int, *, groups: int, up: int = 1) -> nn.Sequential:
    """1x1 convolution, group norm, upsampling, ReLU, in this order."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 1, bias=False), nn.GroupNorm(groups, outputs)]
    if up > 1:
        layers.append(nn.Upsample(scale_factor=up, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers, nn.ReLU())


def _cropped(maps: Tensor, like: Tensor) -> Tensor:
    return maps[..., : like.shape[-2], : like.shape[-1]]


class EdgeBranch(nn.Module):
    """Edge branch: one logit for each pixel of the grid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = zip((1, 4, 8, 16, 32), (1, 1, 2, 4, 4), strict=True)
        self.heads = nn.ModuleList(_head(times * width, width // 2, groups=4, up=up) for times, up in sizes)
        self.logit = nn.Conv2d(5 * (width // 2), 1, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The backbone's maps to edge logits (B, h, w)."""
        outputs = [_cropped(head(map_BChw), maps[0]) for head, map_BChw in zip(self.heads, maps, strict=True)]
        return self.logit(torch.cat(outputs, dim=1))[:, 0]


class DisplacementBranch(nn.Module):
    """Displacement branch: (dy, dx) from every pixel of the grid to its instance's centroid, in pixels of the grid."""

    mean_2: Tensor
    """Mean over the training images, subtracted in eval mode; `ops.tris.irnet_training` computes it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fine = nn.ModuleList([_head(width, width, groups=8), _head(4 * width, 2 * width, groups=16)])
        self.coarse = nn.ModuleList(
            _head(times * width, 4 * width, groups=16, up=up) for times, up in ((8, 1), (16, 2), (32, 2))
        )
        self.joined_coarse = _head(12 * width, 4 * width, groups=16, up=2)
        self.joined = _head(7 * width, 4 * width, groups=16)
        self.vector = nn.Conv2d(4 * width, 2, 1, bias=False)
        self.register_buffer("mean_2", torch.zeros(2))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The backbone's maps to displacements (B, 2, h, w)."""
        coarse = [_cropped(head(map_BChw), maps[2]) for head, map_BChw in zip(self.coarse, maps[2:], strict=True)]
        upsampled = _cropped(self.joined_coarse(torch.cat(coarse, dim=1)), maps[0])
        fine = [head(map_BChw) for head, map_BChw in zip(self.fine, maps[:2], strict=True)]
        vectors_B2hw = self.vector(self.joined(torch.cat([*fine, upsampled], dim=1)))
        return vectors_B2hw if self.training else vectors_B2hw - self.mean_2[:, None, None]


class Irnet(nn.Module):
    """IRNet: both branches on one frozen backbone; only the branches are trained."""

    def __init__(self, config: IrnetConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = FrozenResNet(config)
        self.edge = EdgeBranch(config.width)
        self.displacement = DisplacementBranch(config.width)

    def forward(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Edge logits (B, h, w) and displacements (B, 2, h, w) of normalised images; h = (H - 1) // 4 + 1."""
        maps = self.trunk(images_B3HW)
        return self.edge(maps), self.displacement(maps)


@torch.no_grad()
def edges_and_displacements(net: Irnet, image_3HW: Tensor) -> tuple[Tensor, Tensor]:
    """Edges and displacements of one image, for the refinement (spec 4.5, step 1).

    Args:
        net: trained; is switched to eval mode.
        image_3HW: uint8 RGB at its own size, on the device of the net.

    Returns:
        Probabilities of edges (h, w), from logits averaged over the image and its mirror image, and displacements
        (2, h, w) of the image itself.
    """
    net.eval()
    normalised_3HW = normalise(image_3HW)
    logits_2hw, displacement_22hw = net(torch.stack([normalised_3HW, normalised_3HW.flip(-1)]))
    return ((logits_2hw[0] + logits_2hw[1].flip(-1)) / 2).sigmoid(), displacement_22hw[0]
