"""Grounding DINO of transformers, tiny and base, and MM-Grounding-DINO: the adapter of `CaptionModel`.

Weights, resizing and normalisation are the folder's own. Images of one shape go through the network together.

Shapes: B images, Q queries, T tokens of a caption.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GroundingDinoForObjectDetection, MMGroundingDinoForObjectDetection
from transformers.models.grounding_dino.modeling_grounding_dino import SPECIAL_TOKENS

from ops.refusal import Refused
from resources.models.batches import in_shapes
from resources.models.detection import Image, RawDetections
from resources.models.hub_kinds import GROUNDING_DINO, MM_GROUNDING_DINO, model_type
from resources.models.pixel_boxes import pixel_corners
from resources.models.pretrained_folder import (
    demand_wide,
    read_image_processor,
    read_pretrained,
    read_text_tokenizer,
)

CLASSES: Mapping[str, Any] = {
    GROUNDING_DINO: GroundingDinoForObjectDetection,
    MM_GROUNDING_DINO: MMGroundingDinoForObjectDetection,
}
"""`model_type` -> transformers' class."""
MARKS = ("[CLS]", "[SEP]", ".", "?")
"""What ends a phrase; transformers knows their ids in the vocabulary of bert-base-uncased and in no other."""


class HubGroundingDino:
    """A Grounding DINO in transformers' layout."""

    def __init__(self, model: Any, tokenizer: Any, processor: Any) -> None:
        self.model, self.tokenizer, self.processor = model, tokenizer, processor
        self.caption_tokens = int(self.model.config.max_text_len) - 2
        self.passes = 0

    def tokens(self, text: str) -> int:
        """As `CaptionModel.tokens`."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def score(self, images: Sequence[Image], captions: Sequence[str]) -> list[RawDetections]:
        """As `CaptionModel.score`."""
        return in_shapes(self._score_alike, images, captions)

    @torch.inference_mode()
    def _score_alike(self, images: Sequence[Image], captions: Sequence[str]) -> list[RawDetections]:
        """The same for images of one shape."""
        text = self._encoded(captions)
        pixels_B3HW = self._prepared(images)
        ids = {name: text[name].to(pixels_B3HW.device) for name in ("input_ids", "token_type_ids", "attention_mask")}
        output = self.model(pixel_values=pixels_B3HW, **ids)
        self.passes += len(images)
        height, width = images[0].shape[:2]
        boxes_BQ4 = pixel_corners(output.pred_boxes.float().cpu(), height=height, width=width)
        scores_BQT = output.logits.float().sigmoid().cpu().numpy()
        return [
            RawDetections(
                boxes_Q4=boxes_Q4,
                token_scores_QT=scores_QT[:, :count],
                offsets=tuple((int(start), int(end)) for start, end in offsets[:count]),
            )
            for boxes_Q4, scores_QT, count, offsets in zip(
                boxes_BQ4,
                scores_BQT,
                text["attention_mask"].sum(1).tolist(),
                text["offset_mapping"].tolist(),
                strict=True,
            )
        ]

    def _encoded(self, captions: Sequence[str]) -> Any:
        """Ids of the captions, the shorter ones padded at their ends."""
        text = self.tokenizer(
            list(captions),
            padding=True,
            padding_side="right",
            return_offsets_mapping=True,
            return_token_type_ids=True,
            return_tensors="pt",
        )
        if (count := text["input_ids"].shape[1]) > self.caption_tokens + 2:
            raise Refused(
                f"a caption has {count} tokens, at most {self.caption_tokens + 2} fit: ask for fewer classes at a time"
            )
        return text

    def _prepared(self, images: Sequence[Image]) -> Tensor:
        """(B, 3, h, w) on the device: resized and normalised as the folder says, of images of one shape."""
        demand_wide(images[0])
        return self.processor(images=list(images), return_tensors="pt")["pixel_values"].to(self.model.device)


def load_hub_grounding_dino(folder: Path, *, device: torch.device | str = "cpu") -> HubGroundingDino:
    """Read a Grounding DINO from a folder in transformers' layout.

    Raises:
        Refused: it is none, or one of its files does not belong; see `read_pretrained`.
    """
    tokenizer = read_text_tokenizer(folder)
    if tokenizer.convert_tokens_to_ids(list(MARKS)) != list(SPECIAL_TOKENS):
        raise Refused(f"{folder} has another vocabulary than bert-base-uncased, in which classes cannot be told apart")
    kind = CLASSES.get(model_type(folder), GroundingDinoForObjectDetection)
    model = read_pretrained(kind, folder, types=tuple(CLASSES), device=device)
    return HubGroundingDino(model, tokenizer, read_image_processor(folder))
