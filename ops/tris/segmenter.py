"""TRIS Step 2: a segmenter trained on pseudo-labels, CLIP's ResNet and text tower under a decoder (spec 5).

Shapes: B samples, I images, H x W pixels, T tokens, S (image, expression) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ops.backbones.clip_text import token_features
from ops.images import normalise
from ops.tris.decoder import TopDownDecoder, upsample_unaligned
from ops.tris.fusion import WordFusion
from ops.tris.image_towers import Tower, maps_of, widths_of, without_images
from ops.tris.parameter_groups import optimizer_groups
from ops.tris.tokens import MAX_TOKENS

if TYPE_CHECKING:
    from open_clip import CLIP


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """Sizes of Step 2; the defaults are the paper's. Those of the maps follow from the CLIP."""

    laterals: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels of the four maps' laterals, finest first."""
    finest: int = 32
    """Channels of the finest level, that of the mask."""
    image_size: int = 320
    """Side of the square that images are resized to, in pixels."""
    max_tokens: int = MAX_TOKENS


class TrisSegmenter(nn.Module):
    """CLIP, trained from its own weights, word fusion and decoder; batch norms are updated in training mode."""

    def __init__(self, config: SegmenterConfig, clip: CLIP, tower: Tower | None = None) -> None:
        """`clip` becomes part of the model; it is initialised with its own weights, not with those of Step 1.

        A `tower` takes the place of its ResNet.
        """
        super().__init__()
        self.config = config
        self.clip, self.tower = clip, tower
        widths = widths_of(clip, tower)
        self.fusion = WordFusion(widths[1:], clip.ln_final.normalized_shape[0])
        self.decoder = TopDownDecoder(widths, config.laterals, config.finest)
        if tower is not None:
            without_images(clip)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.decoder.parameters()).device

    def forward(self, images_I3HW: Tensor, ids_BT: Tensor, *, image_of_B: Tensor | None = None) -> list[Tensor]:
        """Logits (B, 1, H, W) at the size of the images: one map in eval mode, four in training, finest level first.

        Args:
            images_I3HW: uint8 RGB, or normalised floats; one a sample unless `image_of_B` is given.
            ids_BT: tokens; pixels attend to padding, too, as in the authors' code.
            image_of_B: row of the image of each sample: images with several expressions are then encoded once.
        """
        if not images_I3HW.is_floating_point():
            images_I3HW = normalise(images_I3HW)
        maps = maps_of(self.clip, self.tower, images_I3HW)
        if image_of_B is not None:
            maps = [map_IChw[image_of_B] for map_IChw in maps]
        logits = self.decoder(self.fusion(maps, token_features(self.clip, ids_BT)))
        return [upsample_unaligned(logits_B1hw, images_I3HW.shape[-2:]) for logits_B1hw in logits]

    def optimizer_groups(self, *, weight_decay: float = 0.01, pretrained_rate: float = 0.1) -> list[dict[str, Any]]:
        """CLIP and new parameters, see `parameter_groups.optimizer_groups`.

        CLIP's text projection is not used here and left out. The authors' filter of names also trains CLIP's text
        positions at the head's rate, by accident; here they have the rate of their tower.
        """
        return optimizer_groups(
            self.clip,
            [*self.fusion.parameters(), *self.decoder.parameters()],
            unreached=[self.clip.text_projection],
            tower=self.tower,
            weight_decay=weight_decay,
            pretrained_rate=pretrained_rate,
        )


def segmentation_losses(logits: Sequence[Tensor], target_B1HW: Tensor) -> list[Tensor]:
    """Mean binary cross-entropy of every level against the pseudo-label; the loss is their plain sum (spec 5.5)."""
    target_B1HW = target_B1HW.to(logits[0].dtype)
    return [F.binary_cross_entropy_with_logits(logits_B1HW, target_B1HW) for logits_B1HW in logits]


@torch.inference_mode()
def segment(model: TrisSegmenter, images_I3HW: Tensor, ids_ST: Tensor, *, image_of_S: Tensor) -> Tensor:
    """Logits (S, H, W) of (image, expression) pairs at the size of the images, on the model's device.

    They do not depend on other pairs. `ops.evaluation.localisation.localise` makes masks at the image's own size of
    them.

    Args:
        model: is switched to eval mode.
        images_I3HW: uint8 RGB, resized to the model's square size, or normalised floats.
        ids_ST: tokens of each pair's expression.
        image_of_S: row of each pair's image.
    """
    model.eval()
    device = model.device
    return model(images_I3HW.to(device), ids_ST.to(device), image_of_B=image_of_S.to(device))[0][:, 0]
