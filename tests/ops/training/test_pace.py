"""When a training tells of itself, on a clock that the test turns."""

import pytest

from ops.training.pace import Pace, spoken


class Clock:
    """Seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(*, every: float, total: int, first: int = 0, seconds: float = 4.0) -> list[tuple[int, int, str]]:
    """Step, steps since the line before and time left of each line, where every step takes so many seconds."""
    clock = Clock()
    pace = Pace(total=total, every=every, step=first, clock=clock)
    found = []
    for step in range(first + 1, total + 1):
        clock.now += seconds
        if pace.is_due(step):
            found.append((step, pace.told(step), pace.left))
    return found


def test_the_first_step_is_told_then_one_every_ten_seconds_and_the_last() -> None:
    assert lines(every=10.0, total=9) == [
        (1, 1, "about 32 s left"),
        (4, 3, "about 20 s left"),
        (7, 3, "about 8 s left"),
        (9, 2, ""),
    ]


def test_a_training_that_was_resumed_tells_of_its_first_step_and_of_those_before_nothing() -> None:
    assert lines(every=10.0, total=102, first=100) == [(101, 1, "about 4 s left"), (102, 1, "")]


def test_every_step_is_told_where_it_takes_longer() -> None:
    assert [step for step, *_ in lines(every=10.0, total=3, seconds=600.0)] == [1, 2, 3]
    assert lines(every=0.0, total=3, seconds=0.0)[0] == (1, 1, "about 1 s left")


def test_the_time_left_follows_the_last_lines() -> None:
    clock = Clock()
    pace = Pace(total=1000, every=0.0, clock=clock)
    for step in range(1, 101):
        clock.now += 100.0 if step <= 50 else 1.0
        pace.told(step)
    assert pace.left == "about 15 min left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89.4, "89 s"), (91, "2 min"), (5000, "83 min"), (9000, "2 h 30 min")]
)
def test_durations_are_spoken(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
