"""Which parameters of TRIS's two steps learn, and at which share of the learning rate (spec 2.7, 5.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from open_clip import CLIP


def optimizer_groups(
    clip: CLIP,
    head: Iterable[nn.Parameter],
    *,
    unreached: Iterable[Tensor] = (),
    weight_decay: float = 0.01,
    pretrained_rate: float = 0.1,
) -> list[dict[str, Any]]:
    """AdamW's two groups, each with a `rate`, its share of the learning rate; every parameter is decayed.

    Args:
        clip: learns at `pretrained_rate`. Its attention pool and scale, which no loss reaches, are left out.
        head: everything new; what does not require a gradient is left out.
        unreached: more parts of `clip` to leave out.
        weight_decay: of both groups, biases, norms and embeddings included.
        pretrained_rate: 1.0 in the authors' releases of December 2023.
    """
    idle = {id(weight) for weight in (*clip.visual.attnpool.parameters(), clip.logit_scale, *unreached)}
    pretrained = [weight for weight in clip.parameters() if id(weight) not in idle]
    new = [weight for weight in head if weight.requires_grad]
    return [
        {"name": "clip", "params": pretrained, "weight_decay": weight_decay, "rate": pretrained_rate},
        {"name": "head", "params": new, "weight_decay": weight_decay, "rate": 1.0},
    ]
