"""A learning-rate schedule over wall-clock time, for small models that are trained for so many minutes."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One step to take."""

    step: int
    """From 0."""
    elapsed: float
    """Seconds since the first step."""
    report: bool
    """Whether this step should be logged: the first, and then one about every `REPORT_SECONDS`."""


REPORT_SECONDS = 20.0


def timed_steps(optimizer: torch.optim.Optimizer, *, minutes: float, warm_up: int = 100) -> Iterator[Tick]:
    """Steps until the time is over; the learning rate rises over `warm_up` steps and falls to zero as a cosine of time.

    The peak of each parameter group is the rate it has now.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    start, reported, step = time.monotonic(), -math.inf, 0
    while (elapsed := time.monotonic() - start) < 60 * minutes or step == 0:
        fraction = min(1.0, elapsed / max(60 * minutes, 1e-9))
        factor = min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * fraction))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        report = elapsed - reported >= REPORT_SECONDS
        if report:
            reported = elapsed
        yield Tick(step=step, elapsed=elapsed, report=report)
        step += 1
