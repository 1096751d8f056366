"""MERES: a Swin trunk, and a decoder guided by what the words say and by what their pixels show (MERES spec 1, 3, 7).

Written from the paper and the MERES spec; no code of its authors is public. `SWIN_B_480` of `ops.meres.config` is the
published size, `EMBEDDED` the small one. The paper trains 40 epochs of 16 sentences a step at a rate of 3e-5 [P].
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

CELL = 32
"""Side of a coarsest pixel; the last of a row sees less of the image where 32 does not divide it."""


class Coarse(NamedTuple):
    """What the network says before it is enlarged."""

    logits_B2hw: Tensor
    """A quarter of the image's size: channel 0 background, 1 foreground."""
    relevance_B1hw: Tensor | None
    """Similarity of sentence and pixels over tau, a thirty-second of the image's size; none without contrast."""


class MeresVision(nn.Module):
    """Everything but the language encoder."""

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
        """The four normalised maps, (B, C, H, W), finest first.

        A trunk that hears no language sees each image once, however many sentences.
        """
        if not images_I3HW.is_floating_point():
            images_I3HW = normalise(images_I3HW)
        if self.config.early_fusion == "pwam":
            maps = fused_maps(self.swin, self.fusions, self.gates, images_I3HW, language_BTL, mask_BT, image_of_B)
            image_of_B = None
        else:
            maps = self.swin(images_I3HW)
        normed = [norm(one) for norm, one in zip(self.output_norms, maps, strict=True)]
        return [(one if image_of_B is None else one[image_of_B]).permute(0, 3, 1, 2) for one in normed]

    def coarse(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, image_of_B: Tensor | None = None
    ) -> Coarse:
        """Logits and relevance as they come; arguments as in `quarter_logits`."""
        language_BTL, mask_BT = language_BLT.transpose(1, 2), mask_B1T.squeeze(1)
        maps = self.features(images_I3HW, language_BTL, mask_BT, image_of_B=image_of_B)
        tau = None if self.temperature is None else self.temperature()
        pooled_by = tau if self.config.pool_temperature == "learnt" else None
        guidance = self.guide(maps, language_BTL, mask_BT.bool(), pooled_by)
        logits_B2hw = self.decoder(maps, guidance.tokens_BGD, guidance.mask_BG)
        if tau is None:
            return Coarse(logits_B2hw, None)
        relevance_BN = guidance.relevance_BN / tau
        return Coarse(logits_B2hw, relevance_BN.unflatten(1, (1, *maps[-1].shape[-2:])))

    def quarter_logits(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """Logits (B, 2, H / 4, W / 4) as the decoder gives them: channel 0 background, 1 foreground.

        Args:
            images_I3HW: uint8 RGB, or floats that are normalised already; one a sample unless `image_of_B` is given.
            language_BLT: states of the tokens, channels first; token 0 stands for the sentence.
            mask_B1T: 1 on tokens that are heard.
            image_of_B: row of the image of each sample: the trunk then sees each image only once.
        """
        return self.coarse(images_I3HW, language_BLT, mask_B1T, image_of_B).logits_B2hw

    def forward(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """Maps (B, 2 or 3, H, W) in float32 at the size of the images; arguments as in `quarter_logits`.

        Channels 0 and 1 are the logits of background and foreground. Where the configuration contrasts, channel 2 is
        the relevance over tau, the logits of Eq. 3, which only `MeresLoss` reads: a forward pass touches every
        parameter, and one tensor leaves it.
        """
        coarse, size = self.coarse(images_I3HW, language_BLT, mask_B1T, image_of_B), images_I3HW.shape[-2:]
        logits_B2HW = upsample(coarse.logits_B2hw.float(), size)
        if coarse.relevance_B1hw is None:
            return logits_B2HW
        enlarge = in_blocks if self.config.contrast_at == "cells" else upsample
        return torch.cat([logits_B2HW, enlarge(coarse.relevance_B1hw.float(), size)], 1)


def in_blocks(map_BChw: Tensor, size: Sequence[int]) -> Tensor:
    """Every pixel (B, C, H, W) gets the value of its cell, the coarsest pixel that saw it.

    Binary cross-entropy is linear in its target: its mean over these pixels compares each cell with the mask's share.
    """
    enlarged = map_BChw.repeat_interleave(CELL, -2).repeat_interleave(CELL, -1)
    return enlarged[..., : size[0], : size[1]]


class Meres(ReferringSegmenter):
    """MERES with its language encoder: BERT [P], or CLIP's text tower in the generalisation setting [P: Table 2].

    All of the encoder's layers learn, its embeddings do not; it stays in eval mode even while it is trained [C: as in
    LAVT, where a sentence then always has the same features].
    """

    config: MeresConfig
    vision: MeresVision

    def __init__(self, config: MeresConfig, language: LanguageEncoder) -> None:
        super().__init__(config, MeresVision(config), language)
        language.learn()


def optimizer_groups(model: Meres, *, weight_decay: float = 0.01, pretrained_rate: float = 1.0) -> list[dict[str, Any]]:
    """AdamW's groups: pretrained (Swin, language) and new parameters, each decayed and undecayed, and the temperature.

    Undecayed are norms, biases and tables of relative positions [I: LAVT, CrossVLT for the trunk; C: the others too].
    The temperature has its own group, so that it surely moves: in CrossVLT no group holds it. Each group has a `rate`,
    its share of the learning rate; the paper has one rate for all [P].
    """
    towers = {id(one) for part in (model.vision.swin, model.language.model) for one in part.parameters()}
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        old, plain = id(parameter) in towers, parameter.ndim < 2 or name.endswith("relative_position_bias_table")
        kind = f"{'pretrained' if old else 'new'}{', undecayed' if plain else ''}"
        kind = "temperature" if name.endswith("log_tau") else kind
        group = {"name": kind, "weight_decay": 0.0 if plain else weight_decay, "rate": pretrained_rate if old else 1.0}
        groups.setdefault(kind, {**group, "params": []})["params"].append(parameter)
    return list(groups.values())
