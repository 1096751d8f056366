"""From nouns to class names by CLIP's text encoder, and from class names to what an object is asked for.

S+S+C stage 1, specification sections 2.3 and 2.4. Shapes: N unique nouns, C labels, D embedding width.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ops.refusal import Refused

# fmt: off
COCO_80: tuple[str, ...] = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)
# fmt: on
"""The detection classes of COCO in official order and spelling."""

NO_CLASS = "object"
"""What an object without any noun is asked for."""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A noun and the label that its embedding lies nearest to."""

    noun: str
    label: str
    similarity: float
    """Cosine between the two prompts' embeddings."""


def prompt(name: str) -> str:
    """The sentence that stands for a noun or a label (section 2.3): always with the article "a"."""
    return f"a photo of a {name}"


def project(nouns: Sequence[str], labels: Sequence[str], encode: Callable[[Sequence[str]], Tensor]) -> list[Projection]:
    """Project every noun on the label of largest cosine similarity; among equal ones the first label wins.

    There is no threshold: every noun gets a label. Unique nouns are encoded once, all in one call. A pipeline without
    projection does not call this and takes the nouns as classes.

    Args:
        nouns: any words, repetitions allowed.
        labels: class names, e.g. `COCO_80`.
        encode: text encoder, M prompts to (M, D).

    Returns:
        One projection per noun, in the order given.

    Raises:
        Refused: there is no label to project on.
    """
    if not labels:
        raise Refused("there are no labels to project nouns on; give at least one class name")
    if not nouns:
        return []
    unique = list(dict.fromkeys(nouns))
    nouns_ND = normalize(encode([prompt(noun) for noun in unique]).float(), dim=1)
    labels_CD = normalize(encode([prompt(label) for label in labels]).float(), dim=1)
    best_N, place_N = _first_maximum(nouns_ND @ labels_CD.T)
    found = {
        noun: Projection(noun=noun, label=labels[place], similarity=similarity)
        for noun, place, similarity in zip(unique, place_N.tolist(), best_N.tolist(), strict=True)
    }
    return [found[noun] for noun in nouns]


def _first_maximum(scores_NC: Tensor) -> tuple[Tensor, Tensor]:
    """Largest value of each row and the first place where it stands (`argmax` promises no order among equals)."""
    best_N = scores_NC.amax(dim=1)
    columns_C = torch.arange(scores_NC.shape[1], device=scores_NC.device)
    place_N = torch.where(scores_NC == best_N[:, None], columns_C, scores_NC.shape[1]).amin(dim=1)
    return best_N, place_N


def vote(classes: Sequence[str], *, rule: Literal["majority", "all"]) -> list[str]:
    """What to ask the detector for, given the classes of all nouns of an object's sentences (section 2.4).

    `majority` gives the most frequent class (among equally frequent ones the first seen), `all` every class once, in
    the order seen. Without any class the answer is `NO_CLASS`.

    Raises:
        ValueError: the rule is unknown.
    """
    if rule not in ("majority", "all"):
        raise ValueError(f"no voting rule {rule!r}; take 'majority' or 'all'")
    if not classes:
        return [NO_CLASS]
    counts = Counter(classes)
    return list(counts) if rule == "all" else [max(counts, key=counts.__getitem__)]
