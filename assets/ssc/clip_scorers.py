"""How CLIP scores the candidates of an image: under a visual prompt (S+S+C), or globally and locally (GL-CLIP).

Shapes: N candidates, S expressions, D embedding width.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from assets.data.images import Pixels
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.prompting import decoded, prompted
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
from resources.models.batches import InPrecision, passes
from resources.models.clip import Clip
from resources.models.loading import open_clip_model, open_parser
from resources.models.refs import ModelRef
from resources.models.spacy_parser import parse_all
from resources.runtime import Runtime

Shown = tuple[Pixels, Sequence[CandidateRow]]
"""An image and candidates of it, of which there is one at least."""


class Scorer(Protocol):
    """Embeds expressions and candidates in one space, to be compared by cosine similarity."""

    @property
    def at_once(self) -> int:
        """Images whose candidates share passes; the embedded models see one at a time, so that none depends on it."""

    def texts(self, expressions: Sequence[str]) -> Tensor:
        """Features (S, D) of expressions."""

    def images(self, shown: Sequence[Shown]) -> Sequence[Tensor]:
        """Features (N, D) of the candidates of each image."""


def open_scorer(knobs: ChoiceKnobs, runtime: Runtime) -> Scorer:
    """The scorer of the rules `clip` and `global_local`.

    Raises:
        Refused: GL-CLIP masks tokens, which only a vision transformer has.
    """
    clip, in_precision = open_clip_model(knobs.clip, runtime), partial(passes, runtime, knobs.precision)
    if knobs.rule == "clip":
        at_once = 1 if ModelRef("clip_vit", knobs.clip).is_embedded else runtime.batch()
        return PromptedScorer(knobs=knobs, clip=clip, in_precision=in_precision, at_once=at_once)
    parse = partial(parse_all, open_parser(knobs.parser))
    return GlobalLocalScorer(clip=clip, parse=parse, share=knobs.global_share, in_precision=in_precision)


@dataclass(frozen=True, kw_only=True)
class PromptedScorer:
    """Expressions against the image as each candidate's visual prompt shows it (S+S+C Eq. 1, spec 3.2 to 3.5)."""

    knobs: ChoiceKnobs
    clip: Clip
    in_precision: InPrecision = nullcontext
    at_once: int = 1

    def texts(self, expressions: Sequence[str]) -> Tensor:
        """Unit vectors (S, D) of the expressions as they are."""
        with self.in_precision():
            return self.clip.encode_texts(expressions)

    def images(self, shown: Sequence[Shown]) -> Sequence[Tensor]:
        """Unit vectors (N, D) of the prompted images, which are squares of one size before they share a pass."""
        prepared = [self.clip.prepared(self._prompted(*image), crop=self.knobs.crop) for image in shown]
        with self.in_precision():
            together_ND = self.clip.encode_prepared(torch.cat(prepared))
        return together_ND.split([len(part) for part in prepared])

    def _prompted(self, pixels: Pixels, masks: Sequence[CandidateRow]) -> Tensor:
        return prompted(self.knobs, to_tensor(pixels).to(self.clip.device), decoded(masks))


@dataclass(frozen=True, kw_only=True)
class GlobalLocalScorer:
    """Expressions and head nouns against candidates in their image and cut out (GL-CLIP, S+S+C spec 3.6)."""

    clip: Clip
    parse: Parse
    share: float
    """v, of the whole image."""
    in_precision: InPrecision = nullcontext
    at_once: int = 1

    def __post_init__(self) -> None:
        """Refuse a CLIP without tokens once, before any image."""
        _ = self.clip.tower

    def texts(self, expressions: Sequence[str]) -> Tensor:
        """Weighted mean features (S, D) of each expression and of its head noun's chunk."""
        chunks = head_chunks(expressions, self.parse)
        with self.in_precision():
            whole, chunk = (self.clip.encode_texts(texts, unit=False) for texts in (expressions, chunks))
        return weighted_features(whole, chunk, share=EXPRESSION_SHARE)

    def images(self, shown: Sequence[Shown]) -> Sequence[Tensor]:
        """Weighted mean features (N, D) of the image with the other tokens masked, and of the cut-out candidate."""
        return [self._seen(*image) for image in shown]

    def _seen(self, pixels: Pixels, masks: Sequence[CandidateRow]) -> Tensor:
        masks_NHW, image_3HW, side = decoded(masks), to_tensor(pixels), self.clip.image_size
        tower = self.clip.tower
        crops = masked_crops(image_3HW, masks_NHW, side=side, colour=self.clip.preparation.mean)
        weights_NGG = token_weights(masks_NHW, grid=tower.grid_size)
        first = first_masked_block(len(tower.transformer.resblocks))
        with self.in_precision():
            whole = self.clip.encode_token_masked(resized_to_square(image_3HW, side=side), weights_NGG, first=first)
            cut_out = self.clip.encode_images(crops, crop="center", unit=False)
        return weighted_features(whole, cut_out, share=self.share)
