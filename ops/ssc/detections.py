"""From raw detector scores to candidate instances: captions, classes of boxes, best masks, suppression of duplicates.

The rules are those of specs "Segment", with its discrepancies 10 to 12 repaired: classes are separated by " . " so that
Grounding DINO keeps them apart, a box gets its class from the tokens of that class and from no string comparison, and
masks may overlap. Belongs here: arithmetic on scores, boxes and masks. The networks are elsewhere.

Shapes: Q queries, T caption tokens, C classes, N detections, H x W pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ops.refusal import Refused

BOX_THRESHOLD = 0.35
TEXT_THRESHOLD = 0.25
"""Both from Grounding DINO's published demo, as S+S+C uses them (section 4.1)."""
NMS_IOU = 0.8

_SEPARATORS = ".?"
_EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, kw_only=True)
class Caption:
    """What the detector is asked, and which characters of it belong to which class."""

    text: str
    classes: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """First character and end (exclusive) of each class in `text`."""


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Boxes that passed the thresholds, the most confident first."""

    boxes_N4: NDArray[np.float32]
    """x0, y0, x1, y1 in pixels."""
    scores_N: NDArray[np.float32]
    class_ids_N: NDArray[np.int64]
    """Index into the caption's classes."""


def spelled(name: str) -> str:
    """A class name as captions and candidates have it: lower case, one space between words."""
    return " ".join(name.lower().split())


def caption(classes: Sequence[str]) -> Caption:
    """Join class names to "apple . sports ball ." in alphabetical order, each once, lower case.

    The order is fixed because it reaches the network: the same set of classes always gives the same boxes.

    Raises:
        Refused: an empty name, or one with a "." or "?" in it, which would end its phrase early.
        ValueError: no class at all.
    """
    names = sorted({spelled(name) for name in classes})
    if not names:
        raise ValueError("no class to look for: give at least one name")
    if bad := [name for name in names if not name or any(mark in name for mark in _SEPARATORS)]:
        raise Refused(f"class names {bad} are empty or hold '.' or '?', which end a phrase: rename them")
    return _join(names)


def expression_caption(expression: str) -> Caption:
    """The whole expression as one phrase, for the baseline that asks the detector directly (specs 3.6).

    Raises:
        Refused: nothing is left of the expression without its punctuation.
    """
    words = expression.lower().translate(str.maketrans(_SEPARATORS, " " * len(_SEPARATORS))).split()
    if not words:
        raise Refused(f"the expression {expression!r} holds no word")
    return _join([" ".join(words)])


def token_spans(offsets_T: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """For each class, which tokens spell it.

    Args:
        offsets_T: characters that each token covers; empty for special tokens.
        spans: characters of each class, `Caption.spans`.

    Raises:
        Refused: no token lies within a class: the tokenizer drops all of its characters, zero-width ones for example.
    """
    tokens = tuple(
        tuple(index for index, (first, last) in enumerate(offsets_T) if start <= first < last <= end)
        for start, end in spans
    )
    if not all(tokens):
        raise Refused(
            "a class has no token: the tokenizer drops all of its characters, or the offsets are those of different "
            "captions"
        )
    return tokens


def class_scores(token_scores_QT: NDArray[np.float32], tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """(Q, C): a class scores what its best token scores.

    The maximum, not the mean: in words that the tokenizer cuts into pieces often only one piece responds.
    """
    return np.stack([token_scores_QT[:, list(indices)].max(axis=1) for indices in tokens], axis=1)


def keep_detections(
    boxes_Q4: NDArray[np.float32],
    token_scores_QT: NDArray[np.float32],
    tokens: Sequence[Sequence[int]],
    *,
    box_threshold: float = BOX_THRESHOLD,
    text_threshold: float = TEXT_THRESHOLD,
) -> Detections:
    """Give each query its best class and keep those that are sure enough.

    A class may only win a query on which its tokens average above `text_threshold`: of "tennis racket", a firm "racket"
    and a silent "tennis" are not enough. Among those the one with the best token wins (first in the caption on a
    tie), and the query is kept if that score exceeds `box_threshold`. One-token classes are thus judged by one number.

    Args:
        boxes_Q4: x0, y0, x1, y1 in pixels.
        token_scores_QT: in [0, 1].
        tokens: the tokens of each class, from `token_spans`.
        box_threshold: exclusive.
        text_threshold: exclusive.

    Returns:
        Detections by falling score; equal scores by x0, y0, x1, y1.
    """
    best_QC = class_scores(token_scores_QT, tokens)
    mean_QC = np.stack([token_scores_QT[:, list(indices)].mean(axis=1) for indices in tokens], axis=1)
    eligible_QC = np.where(mean_QC > text_threshold, best_QC, np.float32(-1))
    class_ids_Q = eligible_QC.argmax(axis=1)
    scores_Q = eligible_QC.max(axis=1)
    kept = np.flatnonzero(scores_Q > max(box_threshold, 0.0))
    kept = kept[_confident_first(boxes_Q4[kept], scores_Q[kept])]
    return Detections(boxes_N4=boxes_Q4[kept], scores_N=scores_Q[kept], class_ids_N=class_ids_Q[kept].astype(np.int64))


def top_box(
    boxes_Q4: NDArray[np.float32], token_scores_QT: NDArray[np.float32], tokens: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float32], float]:
    """The most confident box (4,) for any of the phrases, and its score; no threshold (baseline of specs 3.6)."""
    scores_Q = class_scores(token_scores_QT, tokens).max(axis=1)
    best = _confident_first(boxes_Q4, scores_Q)[0]
    return boxes_Q4[best], float(scores_Q[best])


def best_of_three(
    masks_N3HW: NDArray[np.bool_], scores_N3: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Of the three masks that SAM proposes for each box, the one it rates highest (the first on a tie)."""
    rows, best_N = np.arange(len(scores_N3)), scores_N3.argmax(axis=1)
    return masks_N3HW[rows, best_N], scores_N3[rows, best_N]


Window = tuple[slice, slice]
"""Rows and columns of an image."""


def window(box_4: NDArray[np.float32], *, height: int, width: int) -> Window:
    """The pixels that a box x0, y0, x1, y1 touches, within the image; one at least."""
    x0, y0, x1, y1 = (float(edge) for edge in box_4)
    left, top = min(max(math.floor(x0), 0), width - 1), min(max(math.floor(y0), 0), height - 1)
    return slice(top, min(max(math.ceil(y1), top + 1), height)), slice(left, min(max(math.ceil(x1), left + 1), width))


def alone(image_HW3: NDArray[np.uint8], place: Window) -> NDArray[np.uint8]:
    """A window of an image and nothing else: outside it lies the median colour of its border (specs 2.10)."""
    crop_HW3 = image_HW3[place]
    border_B3 = np.concatenate([crop_HW3[0], crop_HW3[-1], crop_HW3[:, 0], crop_HW3[:, -1]])
    picture_HW3 = np.empty_like(image_HW3)
    picture_HW3[:] = np.median(border_B3, axis=0)
    picture_HW3[place] = crop_HW3
    return picture_HW3


def grid_in(place: Window, *, side: int, height: int, width: int) -> NDArray[np.float64]:
    """(side * side, 2) evenly spaced points x, y of a window, as shares of the image's width and height."""
    rows, columns = place
    steps = (np.arange(side) + 0.5) / side
    xs = (columns.start + steps * (columns.stop - columns.start)) / width
    ys = (rows.start + steps * (rows.stop - rows.start)) / height
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


def mask_nms(
    masks_NHW: NDArray[np.bool_],
    scores_N: NDArray[np.float32],
    *,
    iou_threshold: float = NMS_IOU,
    class_ids_N: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Drop every mask that nearly repeats a better one.

    Args:
        masks_NHW: bool.
        scores_N: what decides between two; the earlier one on a tie.
        iou_threshold: a mask goes if its IoU with a kept one exceeds this.
        class_ids_N: if given, only masks of one class compete. That is what the pipeline asks for: two classes may
            claim one region, and the vote over an object's sentences decides between them later.

    Returns:
        Indices of the kept masks, by falling score.
    """
    if not len(masks_NHW):
        return np.zeros(0, dtype=np.int64)
    rivals_NN = _pairwise_iou(masks_NHW) > iou_threshold
    if class_ids_N is not None:
        rivals_NN &= class_ids_N[:, None] == class_ids_N[None, :]
    kept: list[int] = []
    for index in np.argsort(-scores_N, kind="stable"):
        if not rivals_NN[index, kept].any():
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)


def _join(names: Sequence[str]) -> Caption:
    spans, position = [], 0
    for name in names:
        spans.append((position, position + len(name)))
        position += len(name) + len(" . ")
    return Caption(text=" . ".join(names) + " .", classes=tuple(names), spans=tuple(spans))


def _confident_first(boxes_N4: NDArray[np.float32], scores_N: NDArray[np.float32]) -> NDArray[np.int64]:
    """Order by falling score, then by coordinates (lexsort reads its keys from the last)."""
    order = np.lexsort((boxes_N4[:, 3], boxes_N4[:, 2], boxes_N4[:, 1], boxes_N4[:, 0], -scores_N))
    return order.astype(np.int64)


def _pairwise_iou(masks_NHW: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, N); two empty masks count as different."""
    pixels_ND = masks_NHW.reshape(len(masks_NHW), -1)
    exact = np.float32 if pixels_ND.shape[1] < _EXACT_IN_FLOAT32 else np.float64
    numbers_ND: NDArray[np.floating] = pixels_ND.astype(exact)
    intersection_NN = (numbers_ND @ numbers_ND.T).astype(np.float64)
    area_N = pixels_ND.sum(axis=1)
    union_NN = area_N[:, None] + area_N[None, :] - intersection_NN
    return np.divide(intersection_NN, union_NN, out=np.zeros_like(intersection_NN), where=union_NN > 0)
