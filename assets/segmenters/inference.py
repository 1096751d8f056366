"""Trained segmenters applied: (expressions, pixels) -> masks, in a data set, and answers on an image of none.

Shapes: S expressions, H x W pixels of the image, h x w of the model's square.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assets.data.images import Pixels
from assets.framework.knobs import Knobs
from assets.segmenters.answers import Answer, Segment
from assets.segmenters.load import bf16_of, read_segmenter
from assets.segmenters.training_set import Encoder
from ops.images import resize_image, to_tensor
from ops.segmenters.prediction import Prediction, Segmenter, predict
from resources.runtime import Runtime
from storage.artifact import Artifact

MODEL = "model"
"""The reason of every answer that a trained model gives."""


@dataclass(frozen=True, kw_only=True)
class ReferringMasks:
    """A model that `assets.segmenters.fit` trained."""

    model: Segmenter
    tokenizer: Encoder
    bf16: bool

    @property
    def size(self) -> int:
        """Side of the model's square, pixels."""
        return self.model.config.image_size

    def __call__(self, expressions: Sequence[str], pixels: Pixels) -> Prediction:
        """Masks (S, h, w) at the model's size and (S, H, W) at the image's."""
        ids_ST, mask_ST = self.tokenizer.encode(expressions)
        return predict(
            self.model,
            resize_image(to_tensor(pixels), height=self.size, width=self.size),
            token_ids_ST=ids_ST,
            token_mask_ST=mask_ST,
            original_size=pixels.shape[:2],
            bf16=self.bf16,
        )


def open_referring_masks(trained: Artifact, runtime: Runtime) -> ReferringMasks:
    """The model of an artifact, on the device."""
    model, tokenizer = read_segmenter(trained, runtime)
    return ReferringMasks(model=model, tokenizer=tokenizer, bf16=bf16_of(trained, runtime))


def open_referring_segmenter(trained: Artifact, _: Knobs, runtime: Runtime) -> Segment:
    """The same for an image of no data set."""
    segment = open_referring_masks(trained, runtime)

    def answers(expressions: Sequence[str], pixels: Pixels) -> list[Answer]:
        found = segment(expressions, pixels)
        sure = zip(found.original_size_SHW.numpy(), found.confidence_S.tolist(), strict=True)
        return [Answer(mask=mask_HW, reason=MODEL, confidence=known(share)) for mask_HW, share in sure]

    return answers


def known(share: float) -> float | None:
    """A number, or None for NaN."""
    return None if math.isnan(share) else share
