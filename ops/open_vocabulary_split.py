"""Open-vocabulary split of COCO's classes into seen and unseen ones (MERES Table 2; MERES spec 10).

The split of open-vocabulary detection (OVR-CNN), which CGFormer and MERES use: 48 seen classes are trained on, 17
unseen ones are kept for the test, and 15 belong to neither and are not evaluated. CGFormer's published sizes agree with
it; its files are not public.
"""

from typing import Literal

from ops.ssc.class_projection import COCO_80

SplitPart = Literal["seen", "unseen", "neither"]
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


def split_part(category: str) -> SplitPart | None:
    """The part of the split that a class belongs to; None for names that COCO does not have."""
    if category in UNSEEN:
        return "unseen"
    if category in NEITHER:
        return "neither"
    return "seen" if category in SEEN else None
