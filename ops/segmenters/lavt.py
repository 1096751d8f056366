"""LAVT: Swin, conditioned on the expression after every stage, and a mask decoder (S+S+C spec 4.1-4.7).

One module for all sizes; `SWIN_B_480` is the published one, `EMBEDDED` the small one that ships with the project.
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
    """Sizes of LAVT; the defaults are the paper's."""

    fusion_heads: tuple[int, ...] = (1, 1, 1, 1)
    decoder_width: int = 512
    trained_bert_layers: int = 10
    """Number of BERT's first layers that are trained; its embeddings and the other layers are frozen (spec 4.7).

    Of CLIP's text tower all layers are trained [O: MERES's paper, which has LAVT with it, does not say]."""


SWIN_B_480 = LavtConfig()
SWIN_T_384 = LavtConfig(
    embed_dim=96,
    depths=(2, 2, 6, 2),
    heads=(3, 6, 12, 24),
    window=7,
    drop_path=0.2,
    decoder_width=128,
    language_width=384,
    image_size=384,
    trained_bert_layers=6,
)
"""A student [I]: Swin-T, a language encoder 384 wide such as MiniLM's, and a quarter of the decoder's width."""
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
        return [norm(map_BHWC).permute(0, 3, 1, 2) for norm, map_BHWC in zip(self.output_norms, fused, strict=True)]


def fused_maps(
    swin: Swin,
    fusions: nn.ModuleList,
    gates: nn.ModuleList,
    images_I3HW: Tensor,
    language_BTL: Tensor,
    mask_BT: Tensor,
    image_of_B: Tensor | None,
) -> list[Tensor]:
    """Fused features F (B, H, W, C) of every stage of the backbone, finest first.

    They enter the next stage through its language gate. The first stage runs once for each image.
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
    """LAVT without its language encoder."""

    def __init__(self, config: LavtConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = FusedSwin(config)
        self.decoder = MaskDecoder(config.swin.widths, config.decoder_width)

    @property
    def swin(self) -> Swin:
        """The backbone."""
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
            images_I3HW: uint8 RGB, or normalised floats; one a sample unless `image_of_B` is given.
            language_BLT: hidden states of the tokens, channels first.
            mask_B1T: 1 on unmasked tokens.
            image_of_B: row of the image of each sample: the patch embedding and the first stage, which are not
                conditioned on the expression, then run once for each image.
        """
        return self.decoder(self.features(images_I3HW, language_BLT, mask_B1T, image_of_B=image_of_B))

    def forward(
        self, images_I3HW: Tensor, language_BLT: Tensor, mask_B1T: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """Logits (B, 2, H, W) in float32 at the size of the images; arguments as in `quarter_logits`."""
        quarter = self.quarter_logits(images_I3HW, language_BLT, mask_B1T, image_of_B=image_of_B)
        return upsample(quarter.float(), images_I3HW.shape[-2:])


class Lavt(ReferringSegmenter):
    """LAVT with its language encoder, of which the first layers (BERT) or all (CLIP) are trained."""

    config: LavtConfig
    vision: LavtVision

    def __init__(self, config: LavtConfig, language: LanguageEncoder) -> None:
        super().__init__(config, LavtVision(config), language)
        if isinstance(language, Bert):
            language.unfreeze(config.trained_bert_layers)
        else:
            language.unfreeze()


def optimizer_groups(model: Lavt, *, weight_decay: float = 0.01, pretrained_rate: float = 1.0) -> list[dict[str, Any]]:
    """AdamW's four groups (S+S+C spec 4.7): backbone without and with weight decay, decoder, trained encoder layers.

    Each group has a `rate`, its share of the learning rate. Where `pretrained_rate` is not 1, groups that hold both
    pretrained (Swin, language) and new parameters are split in two. A frozen Swin is in no group.
    """
    undecayed: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, parameter in model.vision.backbone.named_parameters():
        if model.config.freeze_backbone and name.startswith("swin."):
            continue
        no_decay = "norm" in name or "relative_position_bias_table" in name
        (undecayed if no_decay else decayed).append(parameter)
    language = model.language.model
    groups: Sequence[tuple[str, list[nn.Parameter], float]] = (
        ("backbone norms and position biases", undecayed, 0.0),
        ("backbone", decayed, weight_decay),
        ("decoder", list(model.vision.decoder.parameters()), weight_decay),
        (model.language.name, [weight for weight in language.parameters() if weight.requires_grad], weight_decay),
    )
    pretrained = {id(weight) for part in (model.vision.swin, language) for weight in part.parameters()}
    split = (
        (name, [weight for weight in params if (id(weight) in pretrained) == is_old], decay, rate)
        for name, params, decay in groups
        for is_old, rate in ((True, pretrained_rate), (False, 1.0))
    )
    unsplit = ((name, params, decay, 1.0) for name, params, decay in groups)
    return [
        {"name": name, "params": params, "weight_decay": decay, "rate": rate}
        for name, params, decay, rate in (unsplit if pretrained_rate == 1 else split)
        if params
    ]
