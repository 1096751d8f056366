"""Candidate masks from raw detector scores: classes of boxes, best of SAM's masks, mask NMS.

S+S+C spec 2.5 to 2.10, with discrepancies 10 to 12 of spec 7 repaired: a box gets its class from the tokens of that
class and not by comparing strings (`ops.ssc.captions`), and masks may overlap. Here is only arithmetic on scores, boxes
and masks; the networks are elsewhere.

Shapes: Q queries, T caption tokens, C classes, N detections, H x W pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BOX_THRESHOLD = 0.35
TEXT_THRESHOLD = 0.25
"""Both from Grounding DINO's published demo, as S+S+C uses them (paper, section 4.1)."""
NMS_IOU = 0.8

_EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Boxes above the thresholds, by falling score."""

    boxes_N4: NDArray[np.float32]
    """x0, y0, x1, y1 in pixels."""
    scores_N: NDArray[np.float32]
    class_ids_N: NDArray[np.int64]
    """Index into the classes that were asked for."""


def class_scores(token_scores_QT: NDArray[np.float32], tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Score of every class for every query, (Q, C): the maximum over the tokens of the class.

    The maximum, not the mean: of a word that consists of several word pieces often only one has a high score.
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
    """Assign each query its best class and keep those whose score exceeds the threshold.

    A class is eligible for a query if the mean score of its tokens exceeds `text_threshold`: of "tennis racket", a high
    "racket" beside a low "tennis" is not enough. Among eligible classes the one with the highest token score is taken
    (the first in the caption on a tie), and the query is kept if that score exceeds `box_threshold`. For a class of one
    token both thresholds apply to the same number.

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
    kept = kept[_by_falling_score(boxes_Q4[kept], scores_Q[kept])]
    return Detections(boxes_N4=boxes_Q4[kept], scores_N=scores_Q[kept], class_ids_N=class_ids_Q[kept].astype(np.int64))


def together(parts: Sequence[Detections], counts: Sequence[int]) -> Detections:
    """What several captions found in one image, as if one caption had held all their classes.

    Args:
        parts: one a caption; at least one.
        counts: classes of each caption. Class ids count through all of them.

    Returns:
        Detections in the order of `keep_detections`; those of a single caption unchanged.
    """
    starts = np.cumsum([0, *counts[:-1]])
    boxes_N4 = np.concatenate([part.boxes_N4 for part in parts])
    scores_N = np.concatenate([part.scores_N for part in parts])
    ids_N = np.concatenate([part.class_ids_N + start for part, start in zip(parts, starts, strict=True)])
    order_N = _by_falling_score(boxes_N4, scores_N)
    return Detections(boxes_N4=boxes_N4[order_N], scores_N=scores_N[order_N], class_ids_N=ids_N[order_N])


def top_box(
    boxes_Q4: NDArray[np.float32], token_scores_QT: NDArray[np.float32], tokens: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float32], float]:
    """The box (4,) of highest score for any of the phrases, and its score; no threshold (baseline of spec 3.6)."""
    scores_Q = class_scores(token_scores_QT, tokens).max(axis=1)
    best = _by_falling_score(boxes_Q4, scores_Q)[0]
    return boxes_Q4[best], float(scores_Q[best])


def best_of_three(
    masks_N3HW: NDArray[np.bool_], scores_N3: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Of SAM's three masks for each box, (N, H, W), that of highest predicted IoU, the first on a tie; and that IoU."""
    rows, best_N = np.arange(len(scores_N3)), scores_N3.argmax(axis=1)
    return masks_N3HW[rows, best_N], scores_N3[rows, best_N]


Window = tuple[slice, slice]
"""Rows and columns of an image."""


def window_of(box_4: NDArray[np.float32], *, height: int, width: int) -> Window:
    """The pixels of an image that a box x0, y0, x1, y1 touches; at least one."""
    x0, y0, x1, y1 = (float(edge) for edge in box_4)
    left, top = min(max(math.floor(x0), 0), width - 1), min(max(math.floor(y0), 0), height - 1)
    return slice(top, min(max(math.ceil(y1), top + 1), height)), slice(left, min(max(math.ceil(x1), left + 1), width))


def isolated_window(image_HW3: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """The image (H, W, 3) with all pixels outside a window in the median colour of the window's border (spec 2.10)."""
    crop_HW3 = image_HW3[window]
    border_B3 = np.concatenate([crop_HW3[0], crop_HW3[-1], crop_HW3[:, 0], crop_HW3[:, -1]])
    isolated_HW3 = np.empty_like(image_HW3)
    isolated_HW3[:] = np.median(border_B3, axis=0)
    isolated_HW3[window] = crop_HW3
    return isolated_HW3


def point_grid(window: Window, *, side: int, height: int, width: int) -> NDArray[np.float64]:
    """(side * side, 2) evenly spaced points x, y of a window, as shares of the image's width and height."""
    rows, columns = window
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
    """Mask NMS: drop every mask that overlaps one of higher score by more than a threshold.

    Args:
        masks_NHW: bool.
        scores_N: of the masks; the first mask is kept on a tie.
        iou_threshold: a mask is dropped if its IoU with a kept one exceeds this.
        class_ids_N: if given, only masks of one class suppress each other. The pipeline does so: two classes may claim
            one region, and the vote over a referent's expressions decides between them later.

    Returns:
        Indices of the kept masks, by falling score.
    """
    if not len(masks_NHW):
        return np.zeros(0, dtype=np.int64)
    overlapping_NN = _pairwise_iou(masks_NHW) > iou_threshold
    if class_ids_N is not None:
        overlapping_NN &= class_ids_N[:, None] == class_ids_N[None, :]
    kept: list[int] = []
    for index in np.argsort(-scores_N, kind="stable"):
        if not overlapping_NN[index, kept].any():
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)


def _by_falling_score(boxes_N4: NDArray[np.float32], scores_N: NDArray[np.float32]) -> NDArray[np.int64]:
    """Indices by falling score, then by coordinates (lexsort reads its keys from the last)."""
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
