"""A detector as stages ask it: an image and names of classes in, boxes with classes and scores out.

Two ways of asking lie behind it: `Captioned` joins classes to captions whose tokens are scored (Grounding DINO),
`resources.models.owl.Queried` scores each class as a query of its own (OWL). Which boxes are kept is arithmetic, in
`ops.ssc.detections`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ops.ssc.captions import Question, Reworded, expression_caption, question, reworded, token_spans
from ops.ssc.detections import BOX_THRESHOLD, TEXT_THRESHOLD, Detections, keep_detections, together, top_box

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""


@dataclass(frozen=True, kw_only=True)
class RawDetections:
    """Raw boxes and scores of one image and caption, before any threshold."""

    boxes_Q4: NDArray[np.float32]
    """x0, y0, x1, y1 in pixels of the original image, clipped to it."""
    token_scores_QT: NDArray[np.float32]
    """Sigmoid of the similarity of each query to each token of the caption."""
    offsets: tuple[tuple[int, int], ...]
    """Characters of the caption that each token covers, end exclusive; (0, 0) for `[CLS]` and `[SEP]`."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Scores above which a box is kept, both exclusive.

    Their scale is the detector's own: 0.35 and 0.25 are Grounding DINO's; OWL's scores are lower (0.1 to 0.2).
    """

    box: float = BOX_THRESHOLD
    """Of the best class of a box."""
    text: float = TEXT_THRESHOLD
    """Of the mean over the tokens of that class; where a class has one score, both apply to it."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a detector found in an image."""

    classes: tuple[str, ...]
    """What it was asked for, as `canonical_name` writes it, in alphabetical order."""
    detections: Detections
    """Class ids count through `classes`."""


class Detector(Protocol):
    """Finds objects of named classes."""

    passes: int
    """Images that went through the network so far, once for each caption."""

    def reworded(self, classes: Iterable[str]) -> dict[str, Reworded]:
        """Those classes that are not asked for as they are, and what becomes of them."""

    def detect(self, image: Image, classes: Iterable[str], thresholds: Thresholds) -> Found:
        """The boxes of some classes in an image.

        Raises:
            Refused: the image or a class cannot be served.
        """

    def detect_batch(
        self, images: Sequence[Image], classes: Sequence[Iterable[str]], thresholds: Thresholds
    ) -> list[Found]:
        """The same for several images, each with its own classes."""

    def demand_readable(self, expression: str) -> None:
        """Refuse an expression that the detector cannot be asked for."""

    def ground(self, image: Image, expression: str) -> tuple[NDArray[np.float32], float]:
        """The box (4,) that suits an expression best, and its score; no threshold.

        Raises:
            Refused: as `demand_readable`, or the image cannot be served.
        """


class CaptionModel(Protocol):
    """Scores an image against the tokens of a caption."""

    passes: int
    caption_tokens: int
    """Tokens that a caption may have, `[CLS]` and `[SEP]` not among them."""

    def tokens(self, text: str) -> int:
        """How many tokens a text has, `[CLS]` and `[SEP]` not among them."""

    def score(self, images: Sequence[Image], captions: Sequence[str]) -> list[RawDetections]:
        """Every query of each image against every token of the caption beside it.

        Raises:
            Refused: a caption is too long, or an image cannot be served.
        """


@dataclass(frozen=True)
class Captioned:
    """A detector that is asked by captions: as few as hold all classes of an image (S+S+C spec 2.5)."""

    model: CaptionModel

    @property
    def passes(self) -> int:
        """As `Detector.passes`."""
        return self.model.passes

    def reworded(self, classes: Iterable[str]) -> dict[str, Reworded]:
        """As `Detector.reworded`: '.' and '?' would end a phrase, and some classes have no token or too many."""
        names = list(classes)
        return reworded(names, self._question(names))

    def detect(self, image: Image, classes: Iterable[str], thresholds: Thresholds) -> Found:
        """As `Detector.detect`."""
        return self.detect_batch([image], [classes], thresholds)[0]

    def detect_batch(
        self, images: Sequence[Image], classes: Sequence[Iterable[str]], thresholds: Thresholds
    ) -> list[Found]:
        """As `Detector.detect_batch`."""
        questions = [self._question(names) for names in classes]
        asked = [(image, part) for image, whole in zip(images, questions, strict=True) for part in whole.captions]
        raw = iter(self.model.score([image for image, _ in asked], [part.text for _, part in asked]))
        return [_joined(whole, [next(raw) for _ in whole.captions], thresholds) for whole in questions]

    def demand_readable(self, expression: str) -> None:
        """As `Detector.demand_readable`."""
        expression_caption(expression, tokens=self.model.tokens, at_most=self.model.caption_tokens)

    def ground(self, image: Image, expression: str) -> tuple[NDArray[np.float32], float]:
        """As `Detector.ground`."""
        asked = expression_caption(expression, tokens=self.model.tokens, at_most=self.model.caption_tokens)
        (raw,) = self.model.score([image], [asked.text])
        return top_box(raw.boxes_Q4, raw.token_scores_QT, token_spans(raw.offsets, asked.spans))

    def _question(self, classes: Iterable[str]) -> Question:
        return question(classes, tokens=self.model.tokens, at_most=self.model.caption_tokens)


def nothing_found() -> Detections:
    """No box at all."""
    return Detections(
        boxes_N4=np.zeros((0, 4), np.float32), scores_N=np.zeros(0, np.float32), class_ids_N=np.zeros(0, np.int64)
    )


def _joined(asked: Question, raw: Sequence[RawDetections], thresholds: Thresholds) -> Found:
    """What the captions of one image found."""
    parts = [
        keep_detections(
            scored.boxes_Q4,
            scored.token_scores_QT,
            token_spans(scored.offsets, caption.spans),
            box_threshold=thresholds.box,
            text_threshold=thresholds.text,
        )
        for caption, scored in zip(asked.captions, raw, strict=True)
    ]
    counts = [len(caption.classes) for caption in asked.captions]
    return Found(classes=asked.classes, detections=together(parts, counts) if parts else nothing_found())
