"""AdamW's parameter groups of TRIS's two steps (spec 2.7, 5.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from open_clip import CLIP


def optimizer_groups(
    clip: CLIP,
    head: Iterable[nn.Parameter],
    *,
    unreached: Iterable[Tensor] = (),
    tower: nn.Module | None = None,
    weight_decay: float = 0.01,
    pretrained_rate: float = 0.1,
) -> list[dict[str, Any]]:
    """Two groups, CLIP and head, each with a `rate`, its share of the learning rate; all with weight decay.

    Args:
        clip: trained at `pretrained_rate`. Its attention pool and scale, which get no gradient, are left out.
        head: all new parameters; what does not require a gradient is left out.
        unreached: other parameters of `clip` without a gradient.
        tower: pretrained too, in the place of the ResNet of `clip`.
        weight_decay: of both groups, biases, norms and embeddings included.
        pretrained_rate: 1.0 in the authors' releases of December 2023.
    """
    pool = clip.visual.attnpool.parameters() if tower is None else ()
    idle = {id(weight) for weight in (*pool, clip.logit_scale, *unreached)}
    pretrained = [weight for part in (clip, tower) if part is not None for weight in part.parameters()]
    pretrained = [weight for weight in pretrained if id(weight) not in idle]
    new = [weight for weight in head if weight.requires_grad]
    return [
        {"name": "clip", "params": pretrained, "weight_decay": weight_decay, "rate": pretrained_rate},
        {"name": "head", "params": new, "weight_decay": weight_decay, "rate": 1.0},
    ]


def freeze_others(model: nn.Module, groups: Sequence[Mapping[str, Any]]) -> None:
    """Freeze the parameters of no group: nothing reaches them, and a data-parallel replica would wait for gradients."""
    held = {id(weight) for group in groups for weight in group["params"]}
    for weight in model.parameters():
        weight.requires_grad_(weight.requires_grad and id(weight) in held)
