"""Class projection: nouns to class names by CLIP's text embeddings, and the classes to detect for a referent.

S+S+C stage 1, spec 2.3 and 2.4. Shapes: N unique nouns, C labels, D embedding width.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
"""The class to detect for a referent without any noun."""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A noun and the label of largest cosine similarity."""

    noun: str
    label: str
    similarity: float
    """Cosine similarity of the embeddings of both text prompts."""


Wording = Literal["photo", "picture"]
"""CLIP's text prompt of a noun or a label (spec 2.3): "a photo of a NAME" as in the authors' code, always with the
article, or "a picture of NAME" as their paper prints it."""
PROMPTS: Mapping[Wording, str] = {"photo": "a photo of a {}", "picture": "a picture of {}"}


def project(
    nouns: Sequence[str],
    labels: Sequence[str],
    encode: Callable[[Sequence[str]], Tensor],
    *,
    wording: Wording = "photo",
) -> list[Projection]:
    """Project every noun on the label of largest cosine similarity, the first label on a tie.

    There is no threshold: every noun gets a label. Unique nouns are encoded once, all in one call. A pipeline without
    projection does not call this and takes the nouns as classes.

    Args:
        nouns: any words, repetitions allowed.
        labels: class names, e.g. `COCO_80`.
        encode: text encoder, M prompts to (M, D).
        wording: of the prompts, the same for nouns and labels.

    Returns:
        One projection per noun, in the order given.

    Raises:
        Refused: there is no label to project on.
    """
    if not labels:
        raise Refused("there are no labels to project nouns on; give at least one class name")
    if not nouns:
        return []
    unique, prompt = list(dict.fromkeys(nouns)), PROMPTS[wording].format
    nouns_ND = normalize(encode([prompt(noun) for noun in unique]).float(), dim=1)
    labels_CD = normalize(encode([prompt(label) for label in labels]).float(), dim=1)
    best_N, index_N = _first_maximum(nouns_ND @ labels_CD.T)
    projections = {
        noun: Projection(noun=noun, label=labels[index], similarity=similarity)
        for noun, index, similarity in zip(unique, index_N.tolist(), best_N.tolist(), strict=True)
    }
    return [projections[noun] for noun in nouns]


def _first_maximum(scores_NC: Tensor) -> tuple[Tensor, Tensor]:
    """Largest value of each row (N,) and its first index (N,) (`argmax` promises no order among equals)."""
    best_N = scores_NC.amax(dim=1)
    columns_C = torch.arange(scores_NC.shape[1], device=scores_NC.device)
    index_N = torch.where(scores_NC == best_N[:, None], columns_C, scores_NC.shape[1]).amin(dim=1)
    return best_N, index_N


def vote(classes: Sequence[str], *, rule: Literal["majority", "all"]) -> list[str]:
    """The classes to detect for a referent, given those of all nouns of its expressions (spec 2.4).

    `majority` gives the most frequent class (the first in order of appearance on a tie), `all` every class once, in
    order of appearance. Without any class it is `NO_CLASS`.

    Raises:
        ValueError: the rule is unknown.
    """
    if rule not in ("majority", "all"):
        raise ValueError(f"no voting rule {rule!r}; take 'majority' or 'all'")
    if not classes:
        return [NO_CLASS]
    counts = Counter(classes)
    return list(counts) if rule == "all" else [max(counts, key=counts.__getitem__)]
