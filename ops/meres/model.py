"""MERES: a Swin backbone, and a decoder guided by linguistic tokens and visual expressions (MERES spec 1, 3, 7).

Written from the paper and the MERES spec; no code of its authors is public. `SWIN_B_480` of `ops.meres.config` is the
published size, `EMBEDDED` the small one. The paper trains 40 epochs of 16 expressions a step at a learning rate of 3e-5
[P].
Shapes: B samples, I images, H x W pixels, T tokens, L width of the language features, C channels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ops.backbones.language import LanguageEncoder
from ops.backbones.swin import Swin
from ops.images import normalise
from ops.meres.config import MeresConfig
from ops.meres.contrastive_loss import Temperature
from ops.meres.guidance import GuidanceEncoder
from ops.meres.guided_decoder import GuidedDecoder
from ops.segmenters.base import ReferringSegmenter
from ops.segmenters.lavt import fused_maps
from ops.segmenters.lavt_decoder import upsample
from ops.segmenters.pwam import LanguageGate, PixelWordAttention


class Coarse(NamedTuple):
    """Outputs of the vision network before upsampling."""

    logits_B2hw: Tensor
    """At a quarter of the image's size: channel 0 background, 1 foreground."""
    relevance_B1hw: Tensor | None
    """Similarity of expression and pixels over tau, at 1 / `word_stride` of the image's size; None without Eq. 3."""


class MeresVision(nn.Module):
    """MERES without its language encoder."""

    def __init__(self, config: MeresConfig) -> None:
        super().__init__()
        widths = config.swin.widths
        self.config = config
        self.swin = Swin(config.swin)
        self.output_norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.guide = GuidanceEncoder(config)
        self.temperature = Temperature() if config.contrasts else None
        self.decoder = GuidedDecoder(config)
        if config.early_fusion == "pwam":
            self.fusions = nn.ModuleList(PixelWordAttention(width, config.language_width) for width in widths)
            self.gates = nn.ModuleList(LanguageGate(width) for width in widths[:-1])

    def features(
        self, images_I3HW: Tensor, language_BTL: Tensor, mask_BT: Tensor, *, image_of_B: Tensor | None = None
    ) -> list[Tensor]:
        """The four normalised maps (B, C, H, W), finest first.

        A backbone that is not conditioned on the expression runs once for each image.
        """
        if not images_I3HW.is_floating_point():
            images_I3HW = normalise(images_I3HW)
        if self.config.early_fusion == "pwam":
            maps = fused_maps(self.swin, self.fusions, self.gates, images_I3HW, language_BTL, mask_BT, image_of_B)
            image_of_B = None
        else:
            maps = self.swin(images_I3HW)
        normed = [norm(map_IHWC) for norm, map_IHWC in zip(self.output_norms, maps, strict=True)]
        return [
            (norm_IHWC if image_of_B is None else norm_IHWC[image_of_B]).permute(0, 3, 1, 2) for norm_IHWC in normed
        ]

    def coarse(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, image_of_B: Tensor | None = None
    ) -> Coarse:
        """Logits and relevance before upsampling; arguments as in `quarter_logits`."""
        language_BTL, mask_BT = language_BLT.transpose(1, 2), mask_B1T.squeeze(1)
        maps = self.features(images_I3HW, language_BTL, mask_BT, image_of_B=image_of_B)
        tau = None if self.temperature is None else self.temperature()
        temperature = tau if self.config.pool_temperature == "learnt" else None
        guidance = self.guide(maps, language_BTL, mask_BT.bool(), temperature)
        logits_B2hw = self.decoder(maps, guidance.tokens_BGD, guidance.mask_BG)
        if tau is None:
            return Coarse(logits_B2hw, None)
        relevance_BN = guidance.relevance_BN / tau
        return Coarse(logits_B2hw, relevance_BN.unflatten(1, (1, *maps[self.config.word_map].shape[-2:])))

    def quarter_logits(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """Logits (B, 2, H / 4, W / 4) as the decoder gives them: channel 0 background, 1 foreground.

        Args:
            images_I3HW: uint8 RGB, or normalised floats; one a sample unless `image_of_B` is given.
            language_BLT: hidden states of the tokens, channels first; token 0 stands for the whole expression.
            mask_B1T: 1 on unmasked tokens.
            image_of_B: row of the image of each sample: the backbone then runs once for each image.
        """
        return self.coarse(images_I3HW, language_BLT, mask_B1T, image_of_B).logits_B2hw

    def forward(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """Maps (B, 2 or 3, H, W) in float32 at the size of the images; arguments as in `quarter_logits`.

        Channels 0 and 1 are the logits of background and foreground. With a contrastive loss, channel 2 is the
        relevance over tau, the logits of Eq. 3, which only `MeresLoss` reads: so a forward pass uses every parameter
        and returns one tensor.
        """
        coarse, size = self.coarse(images_I3HW, language_BLT, mask_B1T, image_of_B), images_I3HW.shape[-2:]
        logits_B2HW = upsample(coarse.logits_B2hw.float(), size)
        if coarse.relevance_B1hw is None:
            return logits_B2HW
        relevance_B1hw = coarse.relevance_B1hw.float()
        if self.config.contrast_at == "cells":
            return torch.cat([logits_B2HW, in_blocks(relevance_B1hw, size, side=self.config.word_stride)], 1)
        return torch.cat([logits_B2HW, upsample(relevance_B1hw, size)], 1)


def in_blocks(map_BChw: Tensor, size: Sequence[int], *, side: int) -> Tensor:
    """Nearest upsampling (B, C, H, W): every pixel has the value of its cell, the pixel of a coarse map over it.

    A cell covers `side` x `side` pixels, the last of a row less where that does not divide the size.
    Binary cross-entropy is linear in its target: its mean over these pixels is that of each cell with the mask's share.
    """
    enlarged = map_BChw.repeat_interleave(side, -2).repeat_interleave(side, -1)
    return enlarged[..., : size[0], : size[1]]


class Meres(ReferringSegmenter):
    """MERES with its language encoder: BERT [P], or CLIP's text tower in the generalisation setting [P: Table 2].

    All of the encoder's layers are trained, its embeddings are frozen; it stays in eval mode also in training [O: as in
    LAVT, where an expression then always has the same features].
    """

    config: MeresConfig
    vision: MeresVision

    def __init__(self, config: MeresConfig, language: LanguageEncoder) -> None:
        super().__init__(config, MeresVision(config), language)
        language.unfreeze()


def optimizer_groups(model: Meres, *, weight_decay: float = 0.01, pretrained_rate: float = 1.0) -> list[dict[str, Any]]:
    """AdamW's groups: pretrained (Swin, language) and new parameters, each with and without weight decay; temperature.

    Without weight decay are norms, biases and tables of relative positions [I: LAVT, CrossVLT for the backbone; O: the
    others too]. The temperature has a group of its own and is trained: in CrossVLT it is in no group. Each group has a
    `rate`, its share of the learning rate; the paper has one rate for all [P].
    """
    pretrained = {id(weight) for part in (model.vision.swin, model.language.model) for weight in part.parameters()}
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_old = id(parameter) in pretrained
        no_decay = parameter.ndim < 2 or name.endswith("relative_position_bias_table")
        kind = f"{'pretrained' if is_old else 'new'}{', undecayed' if no_decay else ''}"
        kind = "temperature" if name.endswith("log_tau") else kind
        group = {
            "name": kind,
            "weight_decay": 0.0 if no_decay else weight_decay,
            "rate": pretrained_rate if is_old else 1.0,
        }
        groups.setdefault(kind, {**group, "params": []})["params"].append(parameter)
    return list(groups.values())
