"""LAVT: a Swin trunk that hears the sentence after every stage, and a mask decoder (S+S+C spec 4.1-4.7).

One module serves every size; `SWIN_B_480` is the published one, `EMBEDDED` the small one that ships with the project.
Shapes: B samples, I images, H x W pixels, T tokens, L width of the language features, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ops.backbones.language import Bert, LanguageEncoder
from ops.backbones.swin import Swin
from ops.images import normalise
from ops.segmenters.base import ReferringConfig, ReferringSegmenter
from ops.segmenters.lavt_decoder import MaskDecoder, upsample
from ops.segmenters.pwam import LanguageGate, PixelWordAttention


@dataclass(frozen=True, kw_only=True)
class LavtConfig(ReferringConfig):
    """Every size of a LAVT; the defaults are the paper's."""

    fusion_heads: tuple[int, ...] = (1, 1, 1, 1)
    decoder_width: int = 512
    trained_bert_layers: int = 10
    """The first so many layers of BERT learn; its embeddings and the other layers never change (spec 4.7).

    Of CLIP's text tower all layers learn [C: MERES's paper, which has LAVT with it, does not say]."""


SWIN_B_480 = LavtConfig()
EMBEDDED = LavtConfig(
    embed_dim=32,
    depths=(1, 1, 3, 1),
    heads=(1, 2, 2, 4),
    window=7,
    drop_path=0.05,
    decoder_width=48,
    language_width=128,
    image_size=112,
    trained_bert_layers=3,
)


class FusedSwin(nn.Module):
    """Swin with pixel-word attention and a gate after each stage.

    The gated sum E goes on to the next stage, the normalised fused features LN(F) go to the decoder.
    The last gate exists in published checkpoints; nothing follows it, so it is frozen and not computed.
    """

    def __init__(self, config: LavtConfig) -> None:
        super().__init__()
        widths = config.swin.widths
        self.swin = Swin(config.swin)
        self.fusions = nn.ModuleList(
            PixelWordAttention(width, config.language_width, heads=heads)
            for width, heads in zip(widths, config.fusion_heads, strict=True)
        )
        self.gates = nn.ModuleList(LanguageGate(width) for width in widths)
        self.output_norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.gates[-1].requires_grad_(False)

    def forward(
        self, images_I3HW: Tensor, language_BTL: Tensor, mask_BT: Tensor, image_of_B: Tensor | None
    ) -> list[Tensor]:
        """Maps for the decoder, (B, C, H, W), finest first."""
        fused = fused_maps(self.swin, self.fusions, self.gates, images_I3HW, language_BTL, mask_BT, image_of_B)
        return [norm(one).permute(0, 3, 1, 2) for norm, one in zip(self.output_norms, fused, strict=True)]


def fused_maps(
    swin: Swin,
    fusions: nn.ModuleList,
    gates: nn.ModuleList,
    images_I3HW: Tensor,
    language_BTL: Tensor,
    mask_BT: Tensor,
    image_of_B: Tensor | None,
) -> list[Tensor]:
    """What each stage of a trunk makes of pixels and words, F (B, H, W, C), finest first.

    A gate passes it on to the next stage; the blocks of the first stage see each image only once.
    """
    visual = swin.stages[0](swin.patch_embed(images_I3HW))
    if image_of_B is not None:
        visual = visual[image_of_B]
    outputs = []
    for number, stage in enumerate(swin.stages):
        if number:
            visual = stage(visual)
        tokens_BPC = visual.flatten(1, 2)
        fused_BPC = fusions[number](tokens_BPC, language_BTL, mask_BT)
        outputs.append(fused_BPC.view(visual.shape))
        if number + 1 < len(swin.stages):
            visual = stage.downsample(gates[number](tokens_BPC, fused_BPC).view(visual.shape))
    return outputs


class LavtVision(nn.Module):
    """The vision half: everything but the language encoder."""

    def __init__(self, config: LavtConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = FusedSwin(config)
        self.decoder = MaskDecoder(config.swin.widths, config.decoder_width)

    @property
    def swin(self) -> Swin:
        """The trunk."""
        return self.backbone.swin

    def features(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, *, image_of_B: Tensor | None = None
    ) -> list[Tensor]:
        """The four maps LN(F) that the decoder reads, (B, C, H, W), finest first."""
        if not images_I3HW.is_floating_point():
            images_I3HW = normalise(images_I3HW)
        return self.backbone(images_I3HW, language_BLT.transpose(1, 2), mask_B1T.squeeze(1), image_of_B)

    def quarter_logits(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """Logits (B, 2, H / 4, W / 4) as the decoder gives them: channel 0 background, 1 foreground.

        Args:
            images_I3HW: uint8 RGB, or floats that are normalised already; one a sample unless `image_of_B` is given.
            language_BLT: states of the tokens, channels first.
            mask_B1T: 1 on tokens that are heard.
            image_of_B: row of the image of each sample: images with several sentences then pass the patch embedding
                and the blocks of the first stage, which hear no language, only once.
        """
        return self.decoder(self.features(images_I3HW, language_BLT, mask_B1T, image_of_B=image_of_B))

    def forward(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """Logits (B, 2, H, W) in float32 at the size of the images; arguments as in `quarter_logits`."""
        quarter = self.quarter_logits(images_I3HW, language_BLT, mask_B1T, image_of_B=image_of_B)
        return upsample(quarter.float(), images_I3HW.shape[-2:])


class Lavt(ReferringSegmenter):
    """LAVT with its language encoder, of which the first layers learn (BERT) or all (CLIP)."""

    config: LavtConfig
    vision: LavtVision

    def __init__(self, config: LavtConfig, language: LanguageEncoder) -> None:
        super().__init__(config, LavtVision(config), language)
        if isinstance(language, Bert):
            language.learn(config.trained_bert_layers)
        else:
            language.learn()


def optimizer_groups(model: Lavt, *, weight_decay: float = 0.01, pretrained_rate: float = 1.0) -> list[dict[str, Any]]:
    """AdamW's four groups of S+S+C spec 4.7: undecayed and decayed backbone, decoder, trained layers of the encoder.

    Each group has a `rate`, its share of the learning rate. Where `pretrained_rate` is not 1, groups that hold both
    pretrained (Swin, language) and new parameters are split in two. A frozen Swin is in none.
    """
    undecayed: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, parameter in model.vision.backbone.named_parameters():
        if model.config.freeze_backbone and name.startswith("swin."):
            continue
        plain = "norm" in name or "relative_position_bias_table" in name
        (undecayed if plain else decayed).append(parameter)
    language = model.language.model
    groups: Sequence[tuple[str, list[nn.Parameter], float]] = (
        ("backbone norms and position biases", undecayed, 0.0),
        ("backbone", decayed, weight_decay),
        ("decoder", list(model.vision.decoder.parameters()), weight_decay),
        (model.language.name, [one for one in language.parameters() if one.requires_grad], weight_decay),
    )
    pretrained = {id(one) for part in (model.vision.swin, language) for one in part.parameters()}
    split = (
        (name, [one for one in params if (id(one) in pretrained) == old], decay, pretrained_rate if old else 1.0)
        for name, params, decay in groups
        for old in (True, False)
    )
    unsplit = ((name, params, decay, 1.0) for name, params, decay in groups)
    return [
        {"name": name, "params": params, "weight_decay": decay, "rate": rate}
        for name, params, decay, rate in (unsplit if pretrained_rate == 1 else split)
        if params
    ]
