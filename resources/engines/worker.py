"""What computes rows, wherever it runs: a worker is told how, opens its models once, and answers batch by batch."""

import pickle
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from resources.runtime import Runtime

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
Log = Callable[[str], None]


class Worker(Protocol[T_contra, R_co]):
    """Says how units are computed; it can be pickled and holds no models."""

    @property
    def runtime(self) -> Runtime:
        """Settings of the machine, which note what was resolved where the worker was opened."""

    @property
    def gpu(self) -> bool:
        """Whether its models compute on a GPU, where there is one."""

    @property
    def small(self) -> bool:
        """Whether a process more of its models costs a machine little."""

    def open(self, log: Log) -> Callable[[Sequence[T_contra]], Iterable[R_co]]:
        """Open the models. What comes back takes a batch of units, and yields the result of each, in their order."""


@dataclass(frozen=True)
class Answer(Generic[R]):
    """What comes back for a batch, or, without results, from opening."""

    results: Sequence[R] = ()
    lines: Sequence[str] = ()
    """For the log of the run."""
    resolved: dict[str, str] = field(default_factory=dict)
    """Device and precision as they came out, see `Runtime.resolved`."""


@dataclass(frozen=True)
class Failure:
    """What a worker raised, so that it can be raised again by the step, with the lines of code that led there."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """As the process that computed saw it; what cannot be pickled becomes a RuntimeError of its words."""
        trace = "".join(traceback.format_exception(error))
        try:
            pickle.dumps((type(error), error.args))
        except Exception:
            return cls(RuntimeError, (f"{type(error).__name__}: {error}",), trace)
        return cls(type(error), error.args, trace)

    def error(self) -> BaseException:
        """The error itself, caused by its traceback. It is not initialised anew: what it says is in its arguments."""
        error = self.kind.__new__(self.kind, *self.args)
        error.__cause__ = WorkerTracebackError(self.trace)
        return error


class WorkerTracebackError(Exception):
    """The traceback of an error in another process, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class Session(Generic[T, R]):
    """A worker that is open in this process, one of several, and what it says until the next answer."""

    def __init__(self, worker: Worker[T, R]) -> None:
        self._lines: list[str] = []
        self._runtime = worker.runtime
        self._compute = worker.open(self._lines.append)

    def answer(self, batch: Sequence[T] = ()) -> Answer[R]:
        """The results of a batch, and what was said since the last answer."""
        results = list(self._compute(batch)) if batch else []
        lines = self._lines[:]
        self._lines.clear()
        return Answer(results, lines, dict(self._runtime.resolved))
