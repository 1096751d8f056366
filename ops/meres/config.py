"""Sizes and switches of MERES (MERES spec 2, 3, 8, 9).

The paper leaves much open and no code of its authors is public. Every module of this package marks where a decision
comes from, as in its SPEC.md: [P] stated in the paper, [I: x] inferred from the public code of x, [O] our choice.
"""

from dataclasses import dataclass
from typing import Literal

from ops.segmenters import lavt
from ops.segmenters.base import ReferringConfig

Guidance = Literal["le", "le_enh", "ve", "le_enh+pixels", "le_enh+ve"]
"""Tokens that guide the decoder (Table 3): the encoder's tokens as they are, the enhanced ones, visual expressions, or
two of them; `pixels` are all pixels, unselected."""
Select = Literal["topk", "sigmoid", "none"]
"""Which pixels a token keeps (Table 4a): the most similar ones, those of positive similarity, or all."""
Cues = Literal["both", "global", "local"]
"""Which tokens become visual expressions (Table 4b): all, only that of the whole expression ([CLS] of BERT, the
end-of-text token of CLIP), or all but it."""
PoolScale = Literal["mean", "paper"]
"""Eq. 7's factor 1/K on top of a softmax that sums to 1 already: `paper` applies it, `mean` takes it for a mistake."""
PoolTemperature = Literal["one", "learnt"]
"""Temperature of the softmax of Eq. 6: none [P], or that of the contrastive loss (spec 4.4)."""
ContrastAt = Literal["image", "cells"]
"""Resolution of Eq. 3: that of the image, the relevance upsampled bilinearly [I: CrossVLT], or that of the coarsest
map, with the share of each of its pixels that the mask covers [O]."""
EarlyFusion = Literal["none", "pwam"]
"""Whether the backbone is conditioned on the expression: no [O: by the paper's text; its figure is not known to us], or
after every stage as in LAVT, by pixel-word attention and gates (spec 3.1)."""
Levels = Literal["coarsest", "finer"]
"""Maps that enhancement layers attend to (spec 3.3): all to the coarsest [O: the only one that the paper names there],
or the last layer to it and each before to the next finer one [I: CrossVLT has a level per layer]. Coarsest here means
the map of `WordStride`."""
Positions = Literal["sine", "none"]
"""Positions added to the pixels as keys: 2-D sines [O: CGFormer, ReLA], or none (spec 3.3)."""
WordStride = Literal[32, 16, 8]
"""Stride in pixels of the map at which words look, from which they select pixels and which guides as pixels: that of
the coarsest map [P: F_v = F_4], or of a finer one [O]: at the small size the coarsest has 16 pixels, the others 49 and
196, where the published size has 225."""


@dataclass(frozen=True, kw_only=True)
class MeresConfig(ReferringConfig):
    """Sizes and switches of MERES; the defaults are the paper's full model, or our choice where it is silent.

    Of the sizes shared with LAVT, Swin-B, BERT's width (D, that of every token of the guidance) and 480 pixels are [P],
    Swin's other numbers [I: LAVT, CrossVLT, CGFormer, ReLA].
    """

    max_tokens: int = 21
    """With [CLS] and [SEP] [I: CrossVLT; LAVT and CGFormer take 20]; CLIP's text tower gets 20 [I: CGFormer]."""
    token_heads: int = 12
    """Attention heads of every layer whose queries are tokens [O: BERT's; also CrossVLT's]."""
    enhancement_layers: int = 2
    """[O: the paper writes "layers"]"""
    enhancement_levels: Levels = "coarsest"
    word_stride: WordStride = 32
    positions: Positions = "sine"
    dropout: float = 0.1
    """Of the enhancement layers' residual branches [O]."""
    joint_width: int = 512
    """E, width of the joint space of words and pixels [O: CGFormer's; CrossVLT has 256]."""
    decoder_width: int = 512
    """[I: LAVT, CrossVLT]"""
    decoder_heads: int = 8
    """Attention heads of the decoder [O]."""
    looking_stages: tuple[int, ...] = (1, 2, 3, 4)
    """Stages of the decoder whose pixels attend to the guidance, 1 the finest [P: each]."""
    contrasted_queries: bool = True
    """Whether the queries of these pixels are instance-normalised [I: LAVT's are], see `ops.meres.attention.Attention`;
    at full size they are not [O]. Without it all pixels of a small network attend to the same words."""
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
    """Whether only the kept pixels enter the softmax of Eq. 6 (Table 4f); Eq. 8 keeps its mask either way [O]."""
    pool_scale: PoolScale = "mean"
    pool_temperature: PoolTemperature = "one"
    contrast_at: ContrastAt = "image"

    def __post_init__(self) -> None:
        """Refuse widths that the heads do not divide, and switches that contradict each other."""
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
        layers = len(self.depths) + 1 + self.word_map
        if self.enhancement_levels == "finer" and self.enhancement_layers > layers:
            raise ValueError(
                f"enhancement_layers={self.enhancement_layers}: from a word_stride of {self.word_stride} on there are "
                f"{layers} maps; take at most {layers} layers"
            )
        if not self.looking_stages or not set(self.looking_stages) <= set(range(1, len(self.depths) + 1)):
            raise ValueError(f"looking_stages={self.looking_stages}: name some of the stages 1 to {len(self.depths)}")

    @property
    def word_map(self) -> int:
        """Which of the maps, finest first, words look at: -1 is the coarsest."""
        return {32: -1, 16: -2, 8: -3}[self.word_stride]

    @property
    def extracts(self) -> bool:
        """Whether there are visual expressions."""
        return self.guidance in ("ve", "le_enh+ve")

    @property
    def contrasts(self) -> bool:
        """Whether there is a contrastive loss: it needs the similarity of words and pixels [O: the paper is silent]."""
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
"""The small size, on the embedded Swin and BERT."""
