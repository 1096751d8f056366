"""Image towers of TRIS in the place of CLIP's: networks that learnt from labels (TRIS supplement, Tables 3 and 6).

The supplement names ResNet-50 and Swin-B with weights of ImageNet; code of theirs is not public. Either gives four maps
of strides 4 to 32, as CLIP's ResNet does [O]. The text tower stays CLIP's.
Shapes: B images, C channels, h x w cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ops.backbones.resnet_maps import image_maps
from ops.backbones.swin import Swin, SwinConfig
from ops.tris.irnet import IrnetConfig, ResNet

if TYPE_CHECKING:
    from open_clip import CLIP


class SwinTower(nn.Module):
    """Swin with a layer norm on each of its maps [I: LAVT]; give it no stochastic depth, as CLIP's ResNet has none."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.swin = Swin(config)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in config.widths)
        self.widths = list(config.widths)

    def forward(self, images_B3HW: Tensor) -> list[Tensor]:
        """Maps (B, C, h, w) of normalised images, finest first."""
        return [
            norm(map_BhwC).permute(0, 3, 1, 2)
            for norm, map_BhwC in zip(self.norms, self.swin(images_B3HW), strict=True)
        ]

    def card(self) -> dict[str, Any]:
        """What `tower_from` needs, as JSON values."""
        return {"swin": asdict(self.swin.config)}


class ResNetTower(ResNet):
    """torchvision's ResNet; its batch norms learn, as those of CLIP's ResNet do."""

    def __init__(self, config: IrnetConfig) -> None:
        super().__init__(config, last_stride=2)
        self.config = config
        self.widths = [part * config.width for part in (4, 8, 16, 32)]

    def forward(self, images_B3HW: Tensor) -> list[Tensor]:
        """Maps (B, C, h, w) of normalised images, finest first."""
        return self.maps(images_B3HW)[1:]

    def card(self) -> dict[str, Any]:
        """What `tower_from` needs, as JSON values."""
        return {"resnet": asdict(self.config)}


Tower = SwinTower | ResNetTower


def tower_from(card: Mapping[str, Any]) -> Tower:
    """The tower that a card describes, with fresh weights."""
    ((kind, sizes),) = card.items()
    given: dict[str, Any] = {name: tuple(size) if isinstance(size, list) else size for name, size in sizes.items()}
    return SwinTower(SwinConfig(**given)) if kind == "swin" else ResNetTower(IrnetConfig(**given))


def without_images(clip: CLIP) -> None:
    """Drop CLIP's image tower, in place."""
    clip.visual = nn.Identity()


def coarsest_alone(tower: Tower) -> None:
    """Freeze what only the finer maps pass, in place: it would get no gradient."""
    if isinstance(tower, SwinTower):
        tower.norms[:-1].requires_grad_(False)


def maps_of(clip: CLIP, tower: Tower | None, images_B3HW: Tensor) -> list[Tensor]:
    """Maps c1 to c4 (B, C, h, w) of normalised images, by CLIP's ResNet where there is no other tower."""
    return image_maps(clip, images_B3HW) if tower is None else tower(images_B3HW)


def widths_of(clip: CLIP, tower: Tower | None) -> list[int]:
    """Channels of the four maps."""
    if tower is not None:
        return tower.widths
    stages = (clip.visual.layer1, clip.visual.layer2, clip.visual.layer3, clip.visual.layer4)
    return [stage[-1].conv3.out_channels for stage in stages]
