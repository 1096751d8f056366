"""Workers that are processes of this machine, which speak with the step through pipes that they inherited.

    python -m resources.engines.local <pipe> <number> <threads> <process id of the parent>    what is started, once each

Nothing listens anywhere: a pipe ends in the step and in its worker.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from resources.engines.dispatch import Event
from resources.engines.worker import Failure, Session, Worker
from resources.processes import end_with_parent, keep_private


class Processes:
    """A `resources.engines.dispatch.Crew`."""

    def __init__(self, worker: Worker[Any, Any], workers: int) -> None:
        self._worker = worker
        self._threads = worker.runtime.threads or max(1, cores() // workers)
        self._pipes: dict[int, Connection] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def hire(self) -> int:
        """Start a process, with a GPU of its own where there are enough."""
        number = len(self._processes)
        ours, theirs = Pipe()
        words = [str(word) for word in (theirs.fileno(), number, self._threads, os.getpid())]
        self._processes[number] = subprocess.Popen(
            [sys.executable, "-m", __name__, *words], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self._pipes[number] = ours
        self._send(number, self._worker)
        return number

    def give(self, worker: int, number: int, batch: Sequence[Any]) -> None:
        """As `Crew.give`."""
        self._send(worker, (number, batch))

    def events(self) -> Iterator[Event]:
        """As `Crew.events`."""
        ready = wait(list(self._pipes.values()))
        for worker in [number for number, pipe in self._pipes.items() if pipe in ready]:
            try:
                number, said = self._pipes[worker].recv()
            except (EOFError, OSError):
                self._pipes.pop(worker).close()
                yield Event(worker, why=_end_of(self._processes[worker]))
                continue
            if isinstance(said, Failure):
                raise said.error()
            yield Event(worker, number, said)

    def close(self) -> None:
        """End all processes; what they had begun is lost."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        for pipe in self._pipes.values():
            pipe.close()

    def _send(self, worker: int, what: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it is gone, which its pipe tells
            self._pipes[worker].send(what)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_of(process: "subprocess.Popen[bytes]") -> str:
    """How a process ended, for a person."""
    code = process.wait()
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with {code}"


def main(pipe: Connection, number: int, threads: int, parent: int) -> None:
    """The life of a worker, which ends with its parent."""
    end_with_parent(parent)
    keep_private()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the step, which ends its workers
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    inbox: queue.SimpleQueue[tuple[int, Sequence[Any]]] = queue.SimpleQueue()
    try:
        worker: Worker[Any, Any] = pipe.recv()
        if worker.gpu:
            _take_gpu(number)
        session = Session(worker)
        pipe.send((None, session.answer()))
        threading.Thread(target=_receive, args=(pipe, inbox), daemon=True).start()
        while True:
            place, batch = inbox.get()
            pipe.send((place, session.answer(batch)))
    except Exception as error:
        pipe.send((None, Failure.of(error)))
        signal.pause()  # until the step has read it


def _receive(pipe: Connection, inbox: "queue.SimpleQueue[Any]") -> None:
    """Take batches out of the pipe at once, so that the step never waits for this process to take one."""
    try:
        while True:
            inbox.put(pipe.recv())
    except (EOFError, OSError):  # the step is gone
        os._exit(1)


def _take_gpu(number: int) -> None:
    from torch import cuda

    if cuda.is_available():
        cuda.set_device(number % cuda.device_count())


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])), *map(int, sys.argv[2:]))
