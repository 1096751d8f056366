"""SAM 3 of transformers: masks of all objects that a noun phrase names, without a detector before it.

Shapes: N objects, Q queries, H x W pixels of the image as given.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Sam3Model

from ops.ssc.captions import Reworded, canonical_name
from ops.ssc.detections import Detections
from resources.models.detection import nothing_found
from resources.models.hub_kinds import CONCEPTS
from resources.models.pretrained_folder import (
    demand_wide,
    read_image_processor,
    read_pretrained,
    read_text_tokenizer,
)
from resources.models.segmentation import Image, require_image

MASK_THRESHOLD = 0.5
"""Of a pixel's probability, as published."""


@dataclass(frozen=True, kw_only=True)
class Concepts:
    """Objects of an image and their masks."""

    classes: tuple[str, ...]
    """What was asked for, as `canonical_name` writes it, in alphabetical order."""
    detections: Detections
    """By class, then by falling score; a score is that of the object times that of the class being there at all."""
    masks_NHW: NDArray[np.bool_]


class ConceptSegmenter(Protocol):
    """Finds masks of named classes."""

    passes: int
    """Image encodings so far."""

    def reworded(self, classes: Iterable[str]) -> dict[str, Reworded]:
        """Those classes that are not asked for as they are, and what becomes of them."""

    def find(self, image_HW3: Image, classes: Iterable[str], *, threshold: float) -> Concepts:
        """All objects of some classes whose score exceeds a threshold.

        Raises:
            Refused: the image cannot be served.
        """


class Sam3:
    """SAM 3 as published for images, which is the first half of the model for videos."""

    def __init__(self, model: nn.Module, tokenizer: Any, processor: Any) -> None:
        self.model, self.tokenizer, self.processor = model, tokenizer, processor
        self.text_tokens = int(self.model.config.text_config.max_position_embeddings)  # type: ignore[union-attr, arg-type]
        self.passes = 0

    def reworded(self, classes: Iterable[str]) -> dict[str, Reworded]:
        """As `ConceptSegmenter.reworded`."""
        changes: dict[str, Reworded] = {}
        for given in classes:
            if problem := self._problem(canonical_name(given)):
                changes[given] = Reworded(asked=None, reason=problem)
            elif any(mark in given for mark in ".?"):
                changes[given] = Reworded(asked=canonical_name(given), reason="'.' and '?' are asked for as spaces")
        return changes

    @torch.inference_mode()
    def find(self, image_HW3: Image, classes: Iterable[str], *, threshold: float) -> Concepts:
        """As `ConceptSegmenter.find`: one encoding of the image, one pass of the rest for each class."""
        require_image(image_HW3)
        demand_wide(image_HW3)
        names = tuple(name for name in sorted({canonical_name(name) for name in classes}) if not self._problem(name))
        if not names:
            return Concepts(classes=(), detections=nothing_found(), masks_NHW=_blank(image_HW3))
        encoded = self.model.get_vision_features(self._prepared(image_HW3))  # type: ignore[operator]
        self.passes += 1
        found = [self._of_class(encoded, name, image_HW3.shape[:2], threshold) for name in names]
        parts = [part for part, _ in found]
        ids_N = np.repeat(np.arange(len(names)), [len(part.scores_N) for part in parts])
        detections = Detections(
            boxes_N4=np.concatenate([part.boxes_N4 for part in parts]),
            scores_N=np.concatenate([part.scores_N for part in parts]),
            class_ids_N=ids_N,
        )
        return Concepts(
            classes=names, detections=detections, masks_NHW=np.concatenate([masks_NHW for _, masks_NHW in found])
        )

    def _of_class(
        self, encoded: Any, name: str, shape: tuple[int, int], threshold: float
    ) -> tuple[Detections, NDArray[np.bool_]]:
        """The objects of one class by falling score, and their masks."""
        output = self.model(vision_embeds=encoded, **self._text(name))
        (result,) = self.processor.post_process_instance_segmentation(
            output, threshold=threshold, mask_threshold=MASK_THRESHOLD, target_sizes=[shape]
        )
        scores_N, order_N = result["scores"].float().cpu().sort(descending=True, stable=True)
        height, width = shape
        edges_4 = torch.tensor([width, height, width, height])
        boxes_N4 = result["boxes"].float().cpu()[order_N].clamp(min=0).minimum(edges_4)
        masks_NHW = result["masks"].bool().cpu()[order_N] if len(order_N) else torch.zeros(0, height, width).bool()
        part = Detections(
            boxes_N4=boxes_N4.numpy(), scores_N=scores_N.numpy(), class_ids_N=np.zeros(len(order_N), np.int64)
        )
        return part, masks_NHW.numpy()

    def _text(self, name: str) -> dict[str, Tensor]:
        ids = self.tokenizer(name, padding="max_length", max_length=self.text_tokens, return_tensors="pt")
        return {part: ids[part].to(self.model.device) for part in ("input_ids", "attention_mask")}

    def _prepared(self, image_HW3: Image) -> Tensor:
        """(1, 3, h, w) on the device, as the folder says."""
        return self.processor(images=[image_HW3], return_tensors="pt")["pixel_values"].to(self.model.device)

    def _problem(self, name: str) -> str:
        """Why a class cannot be asked for; empty: it can."""
        if not self.tokenizer(name, add_special_tokens=False)["input_ids"]:
            return "it holds no character that the model reads"
        count = len(self.tokenizer(name)["input_ids"])
        return f"it has {count} tokens, at most {self.text_tokens} fit" if count > self.text_tokens else ""


def load_sam3(folder: Path, *, device: torch.device | str = "cpu") -> Sam3:
    """Read SAM 3 from a folder in transformers' layout.

    Raises:
        Refused: it is none, or one of its files does not belong; see `read_pretrained`.
    """
    model = read_pretrained(Sam3Model, folder, types=CONCEPTS, device=device)
    return Sam3(model, read_text_tokenizer(folder), read_image_processor(folder))


def _blank(image_HW3: Image) -> NDArray[np.bool_]:
    return np.zeros((0, *image_HW3.shape[:2]), np.bool_)
