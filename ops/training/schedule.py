"""Learning-rate schedules: (1 - step / total)^0.9 after a linear warm-up (S+S+C spec 4.7, TRIS spec 2.7, 4.4, 5.5).

Steps are counted from 0; a schedule ends at `total`, where the rate would be 0.
"""

from dataclasses import dataclass
from typing import Protocol

import torch

POWER = 0.9


class Schedule(Protocol):
    """Sets the learning rates of an optimizer."""

    def set_rates(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        """Give every group its rate at `step`, once before each step; returns that of new parameters."""
        ...


def poly(step: int, total: int) -> float:
    """Factor of the learning rate at `step` of `total`: (1 - step / total)^0.9."""
    return (1 - step / total) ** POWER


@dataclass(frozen=True, kw_only=True)
class PolySchedule:
    """Polynomial decay by optimizer steps, or by epochs; each group of the optimizer has a `rate`, a share of `lr`."""

    lr: float
    total: int
    """Optimizer steps of the whole training."""
    warmup_steps: int = 0
    """Steps of linear warm-up."""
    per_epoch: int | None = None
    """Count epochs of so many steps over the same total, as the authors' TRIS Step 2 does ("compat_epoch"): the rate
    then never falls below 0.999 of its start. None: count steps, as the paper and Step 1 do."""

    def factor(self, step: int) -> float:
        """Share of `lr` at a step, but for the warm-up."""
        return poly(step if self.per_epoch is None else step // self.per_epoch, self.total)

    def set_rates(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        """Give every group its share of the rate at `step`; returns the rate."""
        lr = self.lr * self.factor(step) * min(1.0, (step + 1) / max(self.warmup_steps, 1))
        for group in optimizer.param_groups:
            group["lr"] = lr * group["rate"]
        return lr


@dataclass(frozen=True, kw_only=True)
class ChainedPolySchedule:
    """Polynomial decay from the rates that the optimizer starts with, each step's from the rate of the step before.

    The numbers are those of torch's `PolynomialLR`, to the last bit; the optimizer's own state keeps the rates.
    """

    total: int

    def set_rates(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        """Lower every group's rate from `step - 1` to `step`; returns the last group's."""
        if step:
            ratio = ((1.0 - step / self.total) / (1.0 - (step - 1) / self.total)) ** POWER
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * ratio
        return float(optimizer.param_groups[-1]["lr"])
