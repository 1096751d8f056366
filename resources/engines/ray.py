"""Workers that are actors of a Ray cluster, named by `RAY_ADDRESS` (the extra `cluster`).

Ray Data's `map_batches` with a class would hand out batches too, but it restarts what was lost without a word, and its
actors have no way to the run's log; so these are plain actors, and `resources.engines.dispatch` hands out batches as it
does on one machine. A node sees the step's files under the same paths, see docs/scaling.md.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from ops.refusal import Refused
from resources.engines.dispatch import Event
from resources.engines.worker import Answer, Failure, Log, Session, Worker
from resources.paths import home

ADDRESS = "RAY_ADDRESS"
PASSED_ON = ("WORDMASK_", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "GLOO_", "NCCL_", "RAY_TRAIN_")
"""How the names of variables begin that a node's processes see as the step does."""
LOOK_SECONDS = 1.0
"""How long Ray is waited for before signals are looked at."""
PATIENCE_SECONDS = 60.0
"""Silence after which the run says that it waits."""


class Actors:
    """A `resources.engines.dispatch.Crew`."""

    def __init__(self, worker: Worker[Any, Any], workers: int, log: Log) -> None:
        connect()
        self._worker, self._log = worker, log
        self._actors: dict[int, Any] = {}
        self._hired = 0
        self._pending: dict[Any, tuple[int, int | None]] = {}
        """What is waited for -> worker and batch."""
        log(f"{workers} workers on the Ray cluster at {os.environ[ADDRESS]} compute")

    def hire(self) -> int:
        """Start an actor where the cluster has room, with a GPU of its own if it has any."""
        number = self._hired
        self._hired += 1
        gpus = int(wants_gpu(self._worker.runtime.device) and self._worker.gpu)
        self._actors[number] = _actor().options(num_cpus=self._worker.runtime.threads or 1, num_gpus=gpus).remote()
        self._pending[self._actors[number].open.remote(self._worker)] = (number, None)
        return number

    def give(self, worker: int, number: int, batch: Sequence[Any]) -> None:
        """As `Crew.give`."""
        self._pending[self._actors[worker].answer.remote(batch)] = (worker, number)

    def events(self) -> Iterator[Event]:
        """As `Crew.events`."""
        for ref in self._ready():
            if ref not in self._pending:  # of a worker that was lost meanwhile
                continue
            worker, number = self._pending.pop(ref)
            try:
                said: Answer[Any] | Failure = ray.get(ref)
            except RayTaskError:  # ours come back as a Failure; this one could not even be unpacked there
                raise
            except RayError as problem:
                self._forget(worker)
                yield Event(worker, why=_in_short(problem))
                continue
            if isinstance(said, Failure):
                raise said.error()
            yield Event(worker, number, said)

    def close(self) -> None:
        """End all actors; what they had begun is lost."""
        for actor in self._actors.values():
            ray.kill(actor)

    def _ready(self) -> Sequence[Any]:
        begun = time.monotonic()
        ready: list[Any] = []
        while not ready:
            ready, _ = ray.wait(list(self._pending), timeout=LOOK_SECONDS)
            if not ready and time.monotonic() - begun > PATIENCE_SECONDS:
                begun = time.monotonic()
                self._log(f"no worker has answered for {PATIENCE_SECONDS:.0f} s; `ray status` tells what is free")
        return ready

    def _forget(self, worker: int) -> None:
        self._pending = {ref: place for ref, place in self._pending.items() if place[0] != worker}
        ray.kill(self._actors.pop(worker))


class _Remote:
    """A worker on a node."""

    def open(self, worker: Worker[Any, Any]) -> Answer[Any] | Failure:
        """Open the models."""
        try:
            self._session = Session(worker)
            return self._session.answer()
        except Exception as error:
            return Failure.of(error)

    def answer(self, batch: Sequence[Any]) -> Answer[Any] | Failure:
        """Compute a batch."""
        try:
            return self._session.answer(batch)
        except Exception as error:
            return Failure.of(error)


def _actor() -> Any:
    return ray.remote(max_restarts=0, max_task_retries=0)(_Remote)


def connect() -> None:
    """Join the cluster that the environment names, once in a process.

    Raises:
        Refused: it names none, or none that answers.
    """
    if ray.is_initialized():
        return
    if not os.environ.get(ADDRESS):
        raise Refused(
            f"the engine ray needs {ADDRESS}, the address of a cluster's head, such as 10.0.0.1:6379; without one "
            "`--workers` computes in several processes of this machine"
        )
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    ended = signal.getsignal(signal.SIGTERM)  # Ray's own would end the process without a word of the stage
    try:
        ray.init(
            address=os.environ[ADDRESS],
            runtime_env={"env_vars": {**passed_on, "WORDMASK_HOME": str(home())}},
            logging_level="warning",
        )
    except (ConnectionError, RuntimeError, ValueError) as problem:
        raise Refused(f"no Ray cluster answers at {os.environ[ADDRESS]} ({problem})") from problem
    finally:
        signal.signal(signal.SIGTERM, ended)


def wants_gpu(device: str) -> bool:
    """Whether a worker on the cluster takes a GPU: where there are any, unless the settings name another device."""
    return device.startswith(("auto", "cuda")) and ray.cluster_resources().get("GPU", 0) > 0


def _in_short(problem: RayError) -> str:
    """The first line of what Ray says, without the numbers that it gives its own things."""
    if isinstance(problem, RayActorError):
        return str(problem).strip().splitlines()[-1].strip()
    return f"{type(problem).__name__}: {str(problem).strip().splitlines()[0]}"
