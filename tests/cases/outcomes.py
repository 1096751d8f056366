"""What readers make of an input, counted; anything else than these three is an error of the test."""

from collections import Counter
from typing import Literal

from hypothesis import event

Outcome = Literal["accepted", "quarantined", "refused"]
COUNTED: Counter[tuple[str, Outcome]] = Counter()
"""(reader, outcome) -> inputs so far."""


def count(reader: str, outcome: Outcome) -> None:
    """Count one input, for the summary below the tests and for Hypothesis' own statistics."""
    event(outcome)
    COUNTED[reader, outcome] += 1
