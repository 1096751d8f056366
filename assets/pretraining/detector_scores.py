"""How well a detector finds the objects of toyref scenes: recall at IoU 0.5 and precision, class included.

Belongs here: measuring, for the model card and for tests. Training is in `detector.py`.

Shapes: N detections.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ops.ssc.captions import Caption, caption, token_spans
from ops.ssc.detections import NMS_IOU, Detections, keep_detections
from resources.models.grounding_dino import GroundingDino
from resources.toyref.scenes import CLASSES, Scene

THRESHOLDS: dict[str, tuple[float, float]] = {
    "": (0.35, 0.25),
    "@.25": (0.25, 0.20),
    "@.30": (0.30, 0.25),
    "@.45": (0.45, 0.30),
    "@.50": (0.50, 0.30),
}
"""Ending of a score's name -> box and text threshold."""


def evaluate(detector: GroundingDino, scenes: Sequence[Scene], *, absent: int = 2) -> dict[str, float]:
    """Ask each scene for the classes it holds and for `absent` others, and count.

    Returns:
        `recall` and `precision` at each of `THRESHOLDS`; `precision_once` after boxes that repeat a better one of their
        class are dropped, as mask NMS does in the pipeline; `mean_iou_of_hits`.
    """
    counts: Counter[str] = Counter()
    overlaps: list[float] = []
    for scene in scenes:
        asked = question_for(scene, absent=absent)
        raw = detector.detect(scene.image_HW3, asked.text)
        tokens = token_spans(raw.offsets, asked.spans)
        counts["wanted"] += len(scene.objects)
        for name, (box, text) in THRESHOLDS.items():
            kept = keep_detections(raw.boxes_Q4, raw.token_scores_QT, tokens, box_threshold=box, text_threshold=text)
            hits = match_boxes(kept.boxes_N4, [asked.classes[i] for i in kept.class_ids_N], scene)
            counts["hits" + name] += len(hits)
            counts["found" + name] += len(kept.boxes_N4)
            counts["once" + name] += len(without_repeats(kept))
            overlaps += hits if not name else []
    scores = {"mean_iou_of_hits": round(float(np.mean(overlaps or [0])), 3)}
    for name in THRESHOLDS:
        hit = counts["hits" + name]
        scores["recall" + name] = round(hit / counts["wanted"], 3)
        scores["precision" + name] = round(hit / max(counts["found" + name], 1), 3)
        scores["precision_once" + name] = round(hit / max(counts["once" + name], 1), 3)
    return scores


def question_for(scene: Scene, *, absent: int) -> Caption:
    """The caption of a scene's classes and some that it does not hold, the same at every call."""
    present = {thing.category for thing in scene.objects}
    rng = np.random.default_rng(scene.seed)
    return caption([*present, *rng.choice(sorted(set(CLASSES) - present), size=absent, replace=False)])


def without_repeats(kept: Detections) -> list[int]:
    """Indices of the boxes that do not overlap a better one of their class by more than `NMS_IOU`."""
    chosen: list[int] = []
    for index, box_4 in enumerate(kept.boxes_N4):
        rivals = [kept.boxes_N4[i] for i in chosen if kept.class_ids_N[i] == kept.class_ids_N[index]]
        if all(box_iou(box_4, rival_4) <= NMS_IOU for rival_4 in rivals):
            chosen.append(index)
    return chosen


def match_boxes(boxes_N4: NDArray[np.float32], names_N: Sequence[str], scene: Scene) -> list[float]:
    """IoU of each hit: the best box first, every object once, class right and IoU at least 0.5."""
    free = list(scene.objects)
    overlaps = []
    for box_4, name in zip(boxes_N4, names_N, strict=True):
        rivals = [(box_iou(box_4, thing.box), index) for index, thing in enumerate(free) if thing.category == name]
        overlap, index = max(rivals, default=(0.0, -1))
        if overlap >= 0.5:
            overlaps.append(overlap)
            del free[index]
    return overlaps


def box_iou(one: Sequence[float] | NDArray[np.float32], two: Sequence[float]) -> float:
    """Intersection over union of two boxes given by their corners."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    inner = max(float(width), 0.0) * max(float(height), 0.0)
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, two)]
    return inner / (sum(areas) - inner)
