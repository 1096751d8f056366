"""Auxiliary heads of the backbones of the embedded LAVT: class, attributes and rank of an object of a rendered scene.

Belongs here: labels and losses that the training scripts of Swin and BERT share. The one reads them off images, the
other off expressions; neither ever sees both.

Shapes: M tokens, A attributes.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from resources.toyref.scenes import CLASSES, Scene, SceneObject

NOT_EXPRESSED = ("skin", "hair")
"""Attributes that no expression speaks of."""
RANKS, ORDINALS = ("across", "down", "area"), ("alone", "first", "between", "last")
"""Where an object stands among the others of its class: from the left, from the top and by the area of its box."""
MAIN = ("category", "colour", *RANKS)
"""What most expressions speak of."""
MAIN_WEIGHT, OTHER_WEIGHT = 2.0, 0.5
"""Weights in a loss of the attributes above and of rarer ones."""

Labels = Mapping[str, tuple[str, ...]]
"""The values of every attribute."""


def label_lists(scenes: Sequence[Scene]) -> Labels:
    """Every value of every attribute that occurs in the scenes, "" among them where an object may be without."""
    values: dict[str, set[str]] = {"category": set(CLASSES)}
    for scene in scenes:
        for thing in scene.objects:
            for name, value in thing.attributes.items():
                if name not in NOT_EXPRESSED:
                    values.setdefault(name, {""}).add(value)
    return {name: tuple(sorted(found)) for name, found in sorted(values.items())} | dict.fromkeys(RANKS, ORDINALS)


def attribute_rows(scene: Scene, thing: SceneObject, labels: Labels) -> list[int]:
    """For each attribute the row of the object's value in its list of labels (A)."""
    values = {"category": thing.category, **ranks(thing, scene), **thing.attributes}
    return [known.index(values.get(name, "")) for name, known in labels.items()]


def ranks(thing: SceneObject, scene: Scene) -> dict[str, str]:
    """Whether an object is the first, the last or between the others of its class in each of `RANKS`, or alone."""
    rivals = [other for other in scene.objects if other.category == thing.category]
    measures: dict[str, Callable[[SceneObject], float]] = {
        "across": lambda one: one.box[0] + one.box[2],
        "down": lambda one: one.box[1] + one.box[3],
        "area": lambda one: (one.box[2] - one.box[0]) * (one.box[3] - one.box[1]),
    }
    if len(rivals) == 1:
        return dict.fromkeys(measures, "alone")
    places = {name: sorted(map(measure, rivals)).index(measure(thing)) for name, measure in measures.items()}
    last = len(rivals) - 1
    return {name: {0: "first", last: "last"}.get(place, "between") for name, place in places.items()}


def attribute_loss(logits: Sequence[Tensor], rows_MA: Tensor, labels: Labels) -> Tensor:
    """Weighted sum over the attributes of the cross-entropy of the logits, each (M, values)."""
    weights = [MAIN_WEIGHT if name in MAIN else OTHER_WEIGHT for name in labels]
    losses = [F.cross_entropy(logit, rows_MA[:, column]) for column, logit in enumerate(logits)]
    return torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum()


def attribute_accuracy(logits: Sequence[Tensor], rows_MA: Tensor, labels: Labels) -> dict[str, float]:
    """Share of right guesses of every attribute."""
    return {
        f"{name}_accuracy": float((logit.argmax(-1) == rows_MA[:, column]).float().mean())
        for column, (name, logit) in enumerate(zip(labels, logits, strict=True))
    }
