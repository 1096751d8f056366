"""OWLv2 and OWL-ViT of transformers: every class is a query of its own, with a score of its own.

No caption joins the classes, so that none is changed by the others beside it. OWLv2 fills an image up to a square at
its right and lower edge, OWL-ViT squeezes it; boxes are brought back accordingly.

Shapes: B images, Q boxes of an image, C classes of an image, T tokens of a query.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Owlv2ForObjectDetection, OwlViTForObjectDetection

from ops.refusal import Refused
from ops.ssc.captions import Reworded, canonical_name
from ops.ssc.detections import keep_detections, top_box
from resources.models.batches import in_shapes
from resources.models.detection import Found, Image, Thresholds, nothing_found
from resources.models.hub_kinds import QUERIES, demand_served
from resources.models.pixel_boxes import pixel_corners
from resources.models.pretrained_folder import (
    demand_wide,
    read_image_processor,
    read_pretrained,
    read_text_tokenizer,
)

CLASSES: Mapping[str, Any] = dict(zip(QUERIES, (Owlv2ForObjectDetection, OwlViTForObjectDetection), strict=True))
"""`model_type` -> transformers' class."""
QUERY = "a photo of a {}"
"""How a class is asked for, as in the examples of both papers; an expression is asked for as it is."""


class Queried:
    """An OWL, asked class by class; implements `Detector`."""

    def __init__(self, model: Any, tokenizer: Any, processor: Any, *, padded: bool) -> None:
        self.model, self.tokenizer, self.processor, self.padded = model, tokenizer, processor, padded
        self.query_tokens = int(self.model.config.text_config.max_position_embeddings)
        self.passes = 0

    def reworded(self, classes: Iterable[str]) -> dict[str, Reworded]:
        """As `Detector.reworded`."""
        changes: dict[str, Reworded] = {}
        for given in classes:
            if problem := self._problem(QUERY.format(canonical_name(given)), canonical_name(given)):
                changes[given] = Reworded(asked=None, reason=problem)
            elif any(mark in given for mark in ".?"):
                changes[given] = Reworded(asked=canonical_name(given), reason="'.' and '?' are asked for as spaces")
        return changes

    def detect(self, image: Image, classes: Iterable[str], thresholds: Thresholds) -> Found:
        """As `Detector.detect`."""
        return self.detect_batch([image], [classes], thresholds)[0]

    def detect_batch(
        self, images: Sequence[Image], classes: Sequence[Iterable[str]], thresholds: Thresholds
    ) -> list[Found]:
        """As `Detector.detect_batch`; a box is of its best class, on whose one score both thresholds apply."""
        asked = [self._asked(names) for names in classes]
        found = [Found(classes=names, detections=nothing_found()) for names in asked]
        wanted = [row for row, names in enumerate(asked) if names]
        queries = [[QUERY.format(name) for name in asked[row]] for row in wanted]
        for row, (boxes_Q4, scores_QC) in zip(
            wanted, self._scores([images[row] for row in wanted], queries), strict=True
        ):
            kept = keep_detections(
                boxes_Q4,
                scores_QC,
                [[column] for column in range(len(asked[row]))],
                box_threshold=thresholds.box,
                text_threshold=thresholds.text,
            )
            found[row] = Found(classes=asked[row], detections=kept)
        return found

    def demand_readable(self, expression: str) -> None:
        """As `Detector.demand_readable`."""
        phrase = canonical_name(expression)
        if problem := self._problem(phrase, phrase):
            raise Refused(f"{expression[:40]!r} cannot be asked for: {problem}")

    def ground(self, image: Image, expression: str) -> tuple[NDArray[np.float32], float]:
        """As `Detector.ground`."""
        self.demand_readable(expression)
        ((boxes_Q4, scores_Q1),) = self._scores([image], [[canonical_name(expression)]])
        return top_box(boxes_Q4, scores_Q1, [[0]])

    def _asked(self, classes: Iterable[str]) -> tuple[str, ...]:
        names = sorted({canonical_name(name) for name in classes})
        return tuple(name for name in names if not self._problem(QUERY.format(name), name))

    def _problem(self, query: str, name: str) -> str:
        """Why a query cannot be asked; empty: it can."""
        if not self.tokenizer(name, add_special_tokens=False)["input_ids"]:
            return "it holds no character that the detector reads"
        count = len(self.tokenizer(query)["input_ids"])
        return f"its query has {count} tokens, at most {self.query_tokens} fit" if count > self.query_tokens else ""

    def _scores(
        self, images: Sequence[Image], queries: Sequence[Sequence[str]]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Boxes in pixels and the scores of each query for them, for each image."""
        return in_shapes(self._scores_alike, images, queries)

    @torch.inference_mode()
    def _scores_alike(
        self, images: Sequence[Image], queries: Sequence[Sequence[str]]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """The same for images of one shape; where one has fewer queries, others fill its rows and are dropped."""
        most = max(map(len, queries))
        filled = [text for texts in queries for text in (*texts, *[texts[0]] * (most - len(texts)))]
        ids = self.tokenizer(filled, padding="max_length", max_length=self.query_tokens, return_tensors="pt")
        pixels_B3HW = self._prepared(images)
        output = self.model(
            pixel_values=pixels_B3HW,
            input_ids=ids["input_ids"].to(pixels_B3HW.device),
            attention_mask=ids["attention_mask"].to(pixels_B3HW.device),
        )
        self.passes += len(images)
        boxes_BQ4 = self._pixels(output.pred_boxes.float().cpu(), images[0].shape)
        scores_BQC = output.logits.float().sigmoid().cpu().numpy()
        return [
            (boxes_Q4, scores_QC[:, : len(texts)])
            for boxes_Q4, scores_QC, texts in zip(boxes_BQ4, scores_BQC, queries, strict=True)
        ]

    def _prepared(self, images: Sequence[Image]) -> Tensor:
        """(B, 3, h, w) on the device, as the folder says."""
        demand_wide(images[0])
        return self.processor(images=list(images), return_tensors="pt")["pixel_values"].to(self.model.device)

    def _pixels(self, boxes_BQ4: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
        height, width = shape[:2]
        if not self.padded:
            return pixel_corners(boxes_BQ4, height=height, width=width)
        side = max(height, width)
        edges_4 = np.array([width, height, width, height], np.float32)
        return np.minimum(pixel_corners(boxes_BQ4, height=side, width=side), edges_4)


def load_owl(folder: Path, *, device: torch.device | str = "cpu") -> Queried:
    """Read an OWLv2 or OWL-ViT from a folder in transformers' layout.

    Raises:
        Refused: it is none, or one of its files does not belong; see `read_pretrained`.
    """
    kind = demand_served("detector", folder)
    model = read_pretrained(CLASSES.get(kind, Owlv2ForObjectDetection), folder, types=QUERIES, device=device)
    return Queried(model, read_text_tokenizer(folder), read_image_processor(folder), padded=kind == QUERIES[0])
