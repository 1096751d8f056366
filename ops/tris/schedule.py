"""How the learning rate falls in TRIS's two steps (spec 2.7, 5.5)."""

from typing import Literal

from ops.lavt import poly

Stepping = Literal["iteration", "compat_epoch"]


def factor(iteration: int, *, epochs: int, per_epoch: int, stepping: Stepping = "iteration") -> float:
    """Factor of the learning rate at a 0-based iteration: (1 - iteration / (epochs * per_epoch))^0.9.

    "compat_epoch" counts epochs instead of iterations, over the same total: what the authors' Step 2 does. Its rate
    never falls below 0.999 of its start; the paper and Step 1 say per iteration.
    """
    return poly(iteration if stepping == "iteration" else iteration // per_epoch, epochs * per_epoch)
