"""What TRIS's two steps have in common when they learn: rates and groups of parameters (spec 2.7, 5.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from ops.segmenters.lavt import poly

if TYPE_CHECKING:
    from open_clip import CLIP

Stepping = Literal["iteration", "compat_epoch"]


def factor(iteration: int, *, epochs: int, per_epoch: int, stepping: Stepping = "iteration") -> float:
    """Factor of the learning rate at a 0-based iteration: (1 - iteration / (epochs * per_epoch))^0.9.

    "compat_epoch" counts epochs instead of iterations, over the same total: what the authors' Step 2 does. Its rate
    never falls below 0.999 of its start; the paper and Step 1 say per iteration.
    """
    return poly(iteration if stepping == "iteration" else iteration // per_epoch, epochs * per_epoch)


def optimiser_groups(
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
    idle = {id(one) for one in (*clip.visual.attnpool.parameters(), clip.logit_scale, *unreached)}
    pretrained = [one for one in clip.parameters() if id(one) not in idle]
    new = [one for one in head if one.requires_grad]
    return [
        {"name": "clip", "params": pretrained, "weight_decay": weight_decay, "rate": pretrained_rate},
        {"name": "head", "params": new, "weight_decay": weight_decay, "rate": 1.0},
    ]
