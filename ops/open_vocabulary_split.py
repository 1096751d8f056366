"""Classes that a model has seen in training and classes that it has not (MERES Table 2; spec 10).

The split of COCO's classes of open-vocabulary detection (OVR-CNN), which CGFormer and MERES follow: 48 are trained on,
17 are new, and 15 belong to neither and count in no figure. CGFormer's published sizes agree with it, its files are not
public.
"""

from typing import Literal

from ops.ssc.class_projection import COCO_80

Novelty = Literal["seen", "unseen", "neither"]
UNSEEN = frozenset(
    {
        *("airplane", "bus", "cat", "dog", "cow", "elephant", "umbrella", "tie", "snowboard", "skateboard", "cup"),
        *("knife", "cake", "couch", "keyboard", "sink", "scissors"),
    }
)
NEITHER = frozenset(
    {
        *("traffic light", "fire hydrant", "stop sign", "parking meter", "sports ball", "baseball bat"),
        *("baseball glove", "tennis racket", "wine glass", "hot dog", "potted plant", "dining table", "cell phone"),
        *("teddy bear", "hair drier"),
    }
)
SEEN = frozenset(COCO_80) - UNSEEN - NEITHER


def novelty(category: str) -> Novelty | None:
    """Which part of the split a class belongs to; none for names that COCO does not have."""
    if category in UNSEEN:
        return "unseen"
    if category in NEITHER:
        return "neither"
    return "seen" if category in SEEN else None
