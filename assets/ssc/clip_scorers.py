"""How CLIP judges the candidates of a picture: under a visual prompt (S+S+C), or globally and locally (GL-CLIP).

Shapes: N candidates, S sentences, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from assets.data.tables import Candidate, Pixels
from assets.knobs_old import ChoiceKnobs
from resources.runtime import Runtime

if TYPE_CHECKING:
    from torch import Tensor

    from ops.ssc.nouns import Parse
    from resources.models.clip import Clip


class Judge(Protocol):
    """Puts sentences and candidates into one space, where the cosine says how well they fit."""

    def texts(self, sentences: Sequence[str]) -> Tensor:
        """Features (S, D) of sentences."""

    def pictures(self, pixels: Pixels, masks: Sequence[Candidate]) -> Tensor:
        """Features (N, D) of the candidates of a picture, of which there is one at least."""


def open_judge(knobs: ChoiceKnobs, runtime: Runtime) -> Judge:
    """The judge of the rules `clip` and `global_local`."""
    from resources.models.loading import open_clip_model, open_parser

    clip = open_clip_model(knobs.clip, runtime)
    if knobs.rule == "clip":
        return Prompted(knobs=knobs, clip=clip)
    from resources.models.spacy_parser import parse_all

    return GlobalLocal(clip=clip, parse=partial(parse_all, open_parser(knobs.parser)), share=knobs.global_share)


@dataclass(frozen=True, kw_only=True)
class Prompted:
    """Sentences against the picture as each candidate's visual prompt shows it (S+S+C Eq. 1, spec 3.2 to 3.5)."""

    knobs: ChoiceKnobs
    clip: Clip

    def texts(self, sentences: Sequence[str]) -> Tensor:
        """Unit vectors (S, D) of the sentences as they are."""
        return self.clip.encode_texts(sentences)

    def pictures(self, pixels: Pixels, masks: Sequence[Candidate]) -> Tensor:
        """Unit vectors (N, D) of the prompted pictures."""
        from ops.images import to_tensor
        from ops.ssc.mask_selection import Colours, red_ellipse, reverse_blur

        knobs = self.knobs
        stack, image = np.stack([mask.mask() for mask in masks]), to_tensor(pixels)
        colours: Colours = "compat_swapped" if knobs.compat else "rgb"
        if knobs.prompt == "red_ellipse":
            prompted = red_ellipse(image, stack, colours=colours)
        else:
            sigma = knobs.sigma if knobs.sigma >= 1 else knobs.sigma * max(pixels.shape[:2])
            prompted = reverse_blur(image, stack, sigma=sigma, mode=knobs.blur, colours=colours)
        return self.clip.encode_images(prompted, crop=knobs.crop)


@dataclass(frozen=True, kw_only=True)
class GlobalLocal:
    """Sentences and head nouns against candidates in their picture and cut out (GL-CLIP, spec 3.6)."""

    clip: Clip
    parse: Parse
    share: float
    """v, of the whole picture."""

    def texts(self, sentences: Sequence[str]) -> Tensor:
        """Mixed features (S, D) of each sentence and of its head noun's chunk."""
        from ops.ssc.gl_clip import SENTENCE_SHARE, head_chunks, mixed

        whole, chunks = (
            self.clip.encode_texts(said, unit=False) for said in (sentences, head_chunks(sentences, self.parse))
        )
        return mixed(whole, chunks, share=SENTENCE_SHARE)

    def pictures(self, pixels: Pixels, masks: Sequence[Candidate]) -> Tensor:
        """Mixed features (N, D) of the picture with the other tokens masked, and of the cut-out candidate."""
        from ops.images import to_tensor
        from ops.ssc.gl_clip import first_masked_block, masked_crops, mixed, square, token_weights

        stack, image, side = np.stack([mask.mask() for mask in masks]), to_tensor(pixels), self.clip.image_size
        tower = self.clip.tower
        whole = self.clip.encode_token_masked(
            square(image, side=side),
            token_weights(stack, grid=tower.grid_size),
            first=first_masked_block(len(tower.transformer.resblocks)),
        )
        cut_out = self.clip.encode_images(masked_crops(image, stack, side=side), crop="center", unit=False)
        return mixed(whole, cut_out, share=self.share)
