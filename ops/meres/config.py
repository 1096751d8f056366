"""Every size and switch of MERES (MERES spec 2, 3, 8, 9).

The paper leaves much open and no code of its authors is public. Every page of this package marks where a decision comes
from: [P] the paper says so, [I: x] inferred from the public code x, [C] our choice.
"""

from dataclasses import dataclass
from typing import Literal

from ops.segmenters import lavt
from ops.segmenters.base import ReferringConfig

Guidance = Literal["le", "le_enh", "ve", "le_enh+pixels", "le_enh+ve"]
"""What guides the decoder (Table 3): the encoder's tokens as they are, the enhanced ones, visual expressions, or two
of them; `pixels` are all pixels, unselected."""
Select = Literal["topk", "sigmoid", "none"]
"""Which pixels a token keeps (Table 4a): the most similar ones, those of positive similarity, or all."""
Cues = Literal["both", "global", "local"]
"""Which tokens become visual expressions (Table 4b): all, only the sentence's own ([CLS] of BERT, the
end of the text of CLIP), or all but it."""
PoolScale = Literal["mean", "paper"]
"""Eq. 7's factor 1/K on top of a softmax that sums to 1 already: `paper` applies it, `mean` reads it as a slip."""
PoolTemperature = Literal["one", "learnt"]
"""By what Eq. 6 divides similarities: nothing [P], or the temperature of the contrastive loss (spec 4.4)."""
ContrastAt = Literal["image", "cells"]
"""Where Eq. 3 compares: at the size of the image, the relevance enlarged bilinearly [I: CrossVLT], or at the coarsest
pixels, with the share of each that the mask covers [C]."""
EarlyFusion = Literal["none", "pwam"]
"""Whether the trunk hears the sentence: no [C: the paper's words; its figure is not known to us], or after every stage
as in LAVT, with pixel-word attention and gates (spec 3.1)."""
Levels = Literal["coarsest", "finer"]
"""Where enhancement layers look (spec 3.3): all at the coarsest map [C: the only one that the paper names there], or
the last one there and each before it at the next finer map [I: CrossVLT has a level a layer]."""
Positions = Literal["sine", "none"]
"""What is added to the pixels as keys: 2-D sines [C: CGFormer, ReLA], or nothing (spec 3.3)."""


@dataclass(frozen=True, kw_only=True)
class MeresConfig(ReferringConfig):
    """Every size and switch; the defaults are the paper's full model, or our choice where it is silent.

    Of the sizes shared with LAVT, Swin-B, BERT's width (D, that of every token of the guidance) and 480 pixels are [P],
    Swin's other numbers [I: LAVT, CrossVLT, CGFormer, ReLA].
    """

    max_tokens: int = 21
    """With [CLS] and [SEP] [I: CrossVLT; LAVT and CGFormer take 20]; CLIP's text tower hears 20 [I: CGFormer]."""
    token_heads: int = 12
    """Attention heads of every layer whose queries are tokens [C: BERT's; also CrossVLT's]."""
    enhancement_layers: int = 2
    """[C: the paper writes "layers"]"""
    enhancement_levels: Levels = "coarsest"
    positions: Positions = "sine"
    dropout: float = 0.1
    """Of the enhancement layers' branches [C]."""
    joint_width: int = 512
    """E, where words and pixels are compared [C: CGFormer's width; CrossVLT has 256]."""
    decoder_width: int = 512
    """[I: LAVT, CrossVLT]"""
    decoder_heads: int = 8
    """Attention heads of the decoder [C]."""
    looking_stages: tuple[int, ...] = (1, 2, 3, 4)
    """Stages of the decoder whose pixels look at the guidance, 1 the finest [P: each]."""
    contrasted_queries: bool = True
    """Whether these pixels are instance-normalised first [I: LAVT's are], see `ops.meres.attention.Attention`; at full
    size they are not [C]. Without it those of a small network all look at the same words."""
    early_fusion: EarlyFusion = "none"

    guidance: Guidance = "le_enh+ve"
    select: Select = "topk"
    selected_percent: int = 30
    """k of the paper, in percent of the pixels [P: a ratio; percent implied by its values 10, 30, 80]."""
    cues: Cues = "both"
    refine: bool = True
    """Semantic refinement, Eq. 8 (Table 4c)."""
    relate: bool = True
    """Relationship modelling, Eq. 9 (Table 4d)."""
    contrastive: bool = True
    """Pixel contrastive loss, Eq. 3 (Table 4e)."""
    norm_mask: bool = True
    """Whether only the kept pixels enter the softmax of Eq. 6 (Table 4f); Eq. 8 keeps its mask either way [C]."""
    pool_scale: PoolScale = "mean"
    pool_temperature: PoolTemperature = "one"
    contrast_at: ContrastAt = "image"

    def __post_init__(self) -> None:
        """Refuse sizes that heads do not divide, and shares that keep nothing."""
        widths = [(self.language_width, self.token_heads)]
        widths += [(width, self.decoder_heads) for width in (self.swin.widths[-1], self.decoder_width)]
        for width, heads in widths:
            if width % heads:
                raise ValueError(f"{heads} heads do not divide a width of {width}; choose other heads")
        if self.language_width % 4:
            raise ValueError(
                f"language_width={self.language_width} has no room for sine positions: take a multiple of 4"
            )
        if not 1 <= self.selected_percent <= 100:
            raise ValueError(f"selected_percent={self.selected_percent} is no share of the pixels: take 1 to 100")
        if self.pool_temperature == "learnt" and self.extracts and not self.contrasts:
            raise ValueError('pool_temperature="learnt" needs the contrastive loss, whose temperature it is')
        if not 1 <= self.enhancement_layers <= len(self.depths):
            raise ValueError(
                f"enhancement_layers={self.enhancement_layers}: take 1 to {len(self.depths)}, as many as there are "
                'maps; guidance="le" does without enhancement'
            )
        if not self.looking_stages or not set(self.looking_stages) <= set(range(1, len(self.depths) + 1)):
            raise ValueError(f"looking_stages={self.looking_stages}: name some of the stages 1 to {len(self.depths)}")

    @property
    def extracts(self) -> bool:
        """Whether visual expressions exist."""
        return self.guidance in ("ve", "le_enh+ve")

    @property
    def contrasts(self) -> bool:
        """Whether the contrastive loss exists: it needs the similarity of words and pixels [C: the paper is silent]."""
        return self.contrastive and self.extracts


SWIN_B_480 = MeresConfig(contrasted_queries=False)
EMBEDDED = MeresConfig(
    embed_dim=lavt.EMBEDDED.embed_dim,
    depths=lavt.EMBEDDED.depths,
    heads=lavt.EMBEDDED.heads,
    window=lavt.EMBEDDED.window,
    drop_path=lavt.EMBEDDED.drop_path,
    language_width=lavt.EMBEDDED.language_width,
    image_size=lavt.EMBEDDED.image_size,
    token_heads=4,
    joint_width=64,
    decoder_width=lavt.EMBEDDED.decoder_width,
)
"""The small one, on the Swin and the BERT that ship with the project."""
