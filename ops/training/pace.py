"""When a training tells how far it is, and how long it will take."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

RECENT = 6
"""Lines, of which the time that is left is judged by."""


@dataclass(kw_only=True)
class Pace:
    """Steps of a training on a clock."""

    total: int
    every: float
    """Seconds between two lines, at least; 0: a line for every step."""
    step: int = 0
    """Steps that were done before."""
    clock: Callable[[], float] = perf_counter
    _lines: deque[tuple[float, int]] = field(init=False)

    def __post_init__(self) -> None:
        """The clock begins."""
        self._lines = deque([(self.clock(), self.step)], maxlen=RECENT)

    def is_due(self, step: int) -> bool:
        """Whether to tell of a step: the first one here, the last one, and one every so often."""
        told_at, told = self._lines[-1]
        return told == self.step or step == self.total or self.clock() - told_at >= self.every

    def told(self, step: int) -> int:
        """Note that a line tells of this step; steps since the line before."""
        self._lines.append((self.clock(), step))
        return step - self._lines[-2][1]

    @property
    def left(self) -> str:
        """How long the remaining steps take as fast as those of the last lines; scores and saves included."""
        (began, first), (now, last) = self._lines[0], self._lines[-1]
        if last == self.total or last == first:
            return ""
        return f"about {spoken((self.total - last) * (now - began) / (last - first))} left"


def spoken(seconds: float) -> str:
    """A duration as people say it, coarse."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
