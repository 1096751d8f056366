"""Batches of units to workers and back: bounded ahead, in any order, and again where a worker was lost."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from resources.engines.worker import Answer, Log

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 2
"""Batches that a worker holds: one is computed, the next one is there when it is done."""
LIVES = 3
"""Workers that a batch, or opening, may cost before the stage ends."""


@dataclass(frozen=True)
class Event:
    """Something that a worker did: it opened (no batch), it computed a batch, or it is gone (no answer)."""

    worker: int
    batch: int | None = None
    answer: Answer[Any] | None = None
    why: str = ""
    """It is gone."""


class Crew(Protocol):
    """Workers somewhere."""

    def hire(self) -> int:
        """Start a worker; its number, which no other one has had."""

    def give(self, worker: int, number: int, batch: Sequence[Any]) -> None:
        """Hand a batch to a worker that has opened; a worker that is gone meanwhile is an event."""

    def events(self) -> Iterable[Event]:
        """Wait until something happens; raises what a worker raised."""

    def close(self) -> None:
        """End all workers."""


@dataclass
class Dispatch(Generic[T, R]):
    """One pass over some batches by a crew."""

    crew: Crew
    batches: Sequence[Sequence[T]]
    log: Log
    waiting: deque[int] = field(default_factory=deque)
    held: dict[int, list[int]] = field(default_factory=dict)
    """Worker that has opened -> batches that it holds."""
    lost: Counter[int | None] = field(default_factory=Counter)
    """Batch -> workers that were lost with it; None: those lost in a row before they had opened."""
    again: int = 0
    """Units that were handed out another time."""

    def results(self, workers: int) -> Iterator[tuple[int, Answer[R]]]:
        """Number and answer of each batch, as they come; opening has an answer, too, under the number -1.

        Raises:
            RuntimeError: a batch, or opening, ended `LIVES` workers.
        """
        self.waiting.extend(range(len(self.batches)))
        for _ in range(min(workers, len(self.batches))):
            self.crew.hire()
        left = len(self.batches)
        while left:
            for event in self.crew.events():
                if event.answer is None:
                    self._replace(event)
                elif event.batch is None:
                    self.held[event.worker] = []
                    self.log(f"{len(self.held)} of {min(workers, len(self.batches))} workers have opened")
                    del self.lost[None]
                    yield -1, event.answer
                else:
                    self.held[event.worker].remove(event.batch)
                    left -= 1
                    yield event.batch, event.answer
            self._hand_out()
        if self.again:
            self.log(f"{self.again} units came again, since the workers that held them were lost")

    def _hand_out(self) -> None:
        for worker, mine in self.held.items():
            while self.waiting and len(mine) < AHEAD:
                number = self.waiting.popleft()
                mine.append(number)
                self.crew.give(worker, number, self.batches[number])

    def _replace(self, event: Event) -> None:
        """Take back what a lost worker held, and start another one."""
        opened = event.worker in self.held
        mine = self.held.pop(event.worker, [])
        units = sum(len(self.batches[number]) for number in mine)
        self.lost.update(mine[:1] if opened else [None])  # the others it had not begun
        self.again += units
        if max(self.lost.values(), default=0) >= LIVES:
            raise RuntimeError(
                f"a worker was lost {LIVES} times {'with the same units' if opened else 'before it had opened'}, the "
                f"last time {event.why}; if memory is short, take fewer workers"
            )
        self.waiting.extendleft(reversed(mine))
        follows = "another one starts" if self.waiting else "no other is needed"
        self.log(f"worker {event.worker} is gone ({event.why}); {follows}, and {units} units come again")
        if self.waiting:
            self.crew.hire()
