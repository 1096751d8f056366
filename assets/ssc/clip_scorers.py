"""How CLIP scores the candidates of an image: under a visual prompt (S+S+C), or globally and locally (GL-CLIP).

Shapes: N candidates, S expressions, D embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from torch import Tensor

from assets.data.images import Pixels
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.tables import CandidateRow
from ops.images import to_tensor
from ops.ssc.gl_clip import (
    EXPRESSION_SHARE,
    first_masked_block,
    head_chunks,
    masked_crops,
    resized_to_square,
    token_weights,
    weighted_features,
)
from ops.ssc.nouns import Parse
from ops.ssc.visual_prompts import Colours, red_ellipse, reverse_blur
from resources.models.clip import Clip
from resources.models.loading import open_clip_model, open_parser
from resources.models.spacy_parser import parse_all
from resources.runtime import Runtime


class Scorer(Protocol):
    """Embeds expressions and candidates in one space, to be compared by cosine similarity."""

    def texts(self, expressions: Sequence[str]) -> Tensor:
        """Features (S, D) of expressions."""

    def images(self, pixels: Pixels, masks: Sequence[CandidateRow]) -> Tensor:
        """Features (N, D) of the candidates of an image, of which there is one at least."""


def open_scorer(knobs: ChoiceKnobs, runtime: Runtime) -> Scorer:
    """The scorer of the rules `clip` and `global_local`.

    Raises:
        Refused: GL-CLIP masks tokens, which only a vision transformer has.
    """
    clip = open_clip_model(knobs.clip, runtime)
    if knobs.rule == "clip":
        return PromptedScorer(knobs=knobs, clip=clip)
    return GlobalLocalScorer(clip=clip, parse=partial(parse_all, open_parser(knobs.parser)), share=knobs.global_share)


@dataclass(frozen=True, kw_only=True)
class PromptedScorer:
    """Expressions against the image as each candidate's visual prompt shows it (S+S+C Eq. 1, spec 3.2 to 3.5)."""

    knobs: ChoiceKnobs
    clip: Clip

    def texts(self, expressions: Sequence[str]) -> Tensor:
        """Unit vectors (S, D) of the expressions as they are."""
        return self.clip.encode_texts(expressions)

    def images(self, pixels: Pixels, masks: Sequence[CandidateRow]) -> Tensor:
        """Unit vectors (N, D) of the prompted images."""
        knobs = self.knobs
        masks_NHW, image_3HW = decoded(masks), to_tensor(pixels)
        colours: Colours = "compat_swapped" if knobs.compat else "rgb"
        if knobs.prompt == "red_ellipse":
            prompted = red_ellipse(image_3HW, masks_NHW, colours=colours)
        else:
            sigma = knobs.sigma if knobs.sigma >= 1 else knobs.sigma * max(pixels.shape[:2])
            prompted = reverse_blur(image_3HW, masks_NHW, sigma=sigma, mode=knobs.blur, colours=colours)
        return self.clip.encode_images(prompted, crop=knobs.crop)


@dataclass(frozen=True, kw_only=True)
class GlobalLocalScorer:
    """Expressions and head nouns against candidates in their image and cut out (GL-CLIP, S+S+C spec 3.6)."""

    clip: Clip
    parse: Parse
    share: float
    """v, of the whole image."""

    def __post_init__(self) -> None:
        """Refuse a CLIP without tokens once, before any image."""
        _ = self.clip.tower

    def texts(self, expressions: Sequence[str]) -> Tensor:
        """Weighted mean features (S, D) of each expression and of its head noun's chunk."""
        whole, chunks = (
            self.clip.encode_texts(texts, unit=False) for texts in (expressions, head_chunks(expressions, self.parse))
        )
        return weighted_features(whole, chunks, share=EXPRESSION_SHARE)

    def images(self, pixels: Pixels, masks: Sequence[CandidateRow]) -> Tensor:
        """Weighted mean features (N, D) of the image with the other tokens masked, and of the cut-out candidate."""
        masks_NHW, image_3HW, side = decoded(masks), to_tensor(pixels), self.clip.image_size
        tower = self.clip.tower
        whole = self.clip.encode_token_masked(
            resized_to_square(image_3HW, side=side),
            token_weights(masks_NHW, grid=tower.grid_size),
            first=first_masked_block(len(tower.transformer.resblocks)),
        )
        crops = masked_crops(image_3HW, masks_NHW, side=side, colour=self.clip.preparation.mean)
        cut_out = self.clip.encode_images(crops, crop="center", unit=False)
        return weighted_features(whole, cut_out, share=self.share)


def decoded(masks: Sequence[CandidateRow]) -> np.ndarray:
    """(N, H, W) booleans of candidates."""
    return np.stack([candidate.mask.decode() for candidate in masks])
