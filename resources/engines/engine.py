"""Where rows are computed: in this process, in several of this machine, or on a cluster of Ray.

The engine hands out units and brings back results; what is done with them, the step alone does.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from typing import TypeVar

from ops.refusal import Refused
from resources.engines.dispatch import Crew, Dispatch
from resources.engines.local import Processes, cores
from resources.engines.worker import Log, Worker

T = TypeVar("T")
R = TypeVar("R")
MANY = 256
"""Units from which on it pays to start processes, each of which takes some seconds to open its models."""
AT_MOST = 4
"""Processes that nobody asked for."""
PER_WORKER = 4
"""Batches for each worker at least, so that all of them end at about the same time."""


def computed(worker: Worker[T, R], units: Sequence[T], *, together: int, log: Log) -> Iterator[tuple[int, R]]:
    """Place and result of every unit, in any order.

    Args:
        worker: what computes them; `runtime` says how many of it run where, and is told what they resolved.
        units: what is computed.
        together: so many units, counted from the first, may share a pass of a network: batches are multiples of it, so
            that the same units share a pass in every engine.
        log: told what happens to workers, and what they say.

    Raises:
        RuntimeError: workers were lost again and again.
        Exception: whatever a worker raised, with its own traceback as the cause.
    """
    runtime = worker.runtime
    if not units:
        return
    workers = runtime.workers or fitting(worker, len(units))
    batches = cut(units, workers=workers, together=together, at_most=runtime.shard)
    if runtime.engine == "local" and (workers == 1 or len(batches) == 1):
        yield from enumerate(worker.open(log)(units))
        return
    size = len(batches[0])
    runtime.note({"workers": str(workers)})
    with closing(_crew(worker, workers, log)) as crew:
        for number, answer in Dispatch[T, R](crew, batches, log).results(workers):
            for line in answer.lines:
                log(line)
            runtime.note(answer.resolved)
            yield from enumerate(answer.results, number * size)


def fitting(worker: Worker[T, R], count: int) -> int:
    """Workers for so many units, where nobody said how many."""
    runtime = worker.runtime
    if runtime.engine != "local" or count < MANY or not worker.small:
        return 1
    on_cpu = not worker.gpu or runtime.torch_device() == "cpu"
    return min(cores(), AT_MOST) if on_cpu else 1


def cut(units: Sequence[T], *, workers: int, together: int, at_most: int) -> list[Sequence[T]]:
    """Batches of equal size but for the last one: several for each worker, up to a shard each."""
    fair = -(-len(units) // (PER_WORKER * workers))
    size = max(1, -(-min(fair, at_most) // together)) * together
    return [units[start : start + size] for start in range(0, len(units), size)]


def _crew(worker: Worker[T, R], workers: int, log: Log) -> Crew:
    if worker.runtime.engine == "local":
        log(f"{workers} processes of this machine compute")
        return Processes(worker, workers)
    demand_ray()
    from resources.engines.ray import Actors  # an extra that one machine does without

    return Actors(worker, workers, log)


def demand_ray() -> None:
    """Refuse the engine ray where its package is not installed."""
    if find_spec("ray") is None:
        raise Refused("the engine ray needs packages that are not installed: pip install 'wordmask[cluster]'")
