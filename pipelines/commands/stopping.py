"""Ctrl-C in a terminal's run: asked for once it always ends, the run is marked as cancelled, and nothing looks broken.

Dagster and libraries may miss a signal or hold it back through a long computation. Here a thread hears every one of
them, whatever handler is set at that moment. What does not end in its own way is ended: results are committed whole or
not at all, and what a table or a training has saved is taken up by the next run.
"""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from pipelines.commands.terminal import console, leave

PATIENCE_SECONDS = 2.0
"""How long a run may take to end in its own way."""
LAST_SECONDS = 1.0
"""How long Dagster's record of the run may take after that."""
STOPS = (signal.SIGINT, signal.SIGTERM)
KEPT = "what was computed is kept, and the same command goes on from there"


class RunStopped(KeyboardInterrupt):
    """A person stopped the run; only the outermost command is to catch it."""


class Stopping:
    """What a run knows of a person's wish to end it."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str, cleanup: Callable[[], object]) -> None:
        self._instance, self._run_id, self._cleanup = instance, run_id, cleanup
        self._ended = threading.Event()
        self.asked = False

    def hear(self, signals: socket.socket) -> None:
        """Wait for a signal, tell Dagster of it, and end the process where the run does not end in its own way."""
        while not set(STOPS).intersection(heard := signals.recv(1)):  # others are heard as well
            if not heard:
                return
        until = time.monotonic() + PATIENCE_SECONDS
        self.asked = True
        console.print("stopping")
        _try_for(PATIENCE_SECONDS, self._mark_canceling)
        if not self._ended.wait(max(0.0, until - time.monotonic())):
            _try_for(LAST_SECONDS, self.close, self._cleanup)
            leave(f"stopped; {KEPT}")

    def end(self) -> None:
        """The run has ended."""
        self._ended.set()

    def close(self) -> None:
        """Have the run stand as cancelled, and free what it holds."""
        run = self._instance.get_run_by_id(self._run_id)
        if run is not None and run.status not in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS):
            self._instance.report_run_canceled(run, message=f"stopped in its terminal; {KEPT}")
        self._instance.event_log_storage.free_concurrency_slots_for_run(self._run_id)

    def _mark_canceling(self) -> None:
        run = self._instance.get_run_by_id(self._run_id)
        if run is not None and not run.is_finished:
            self._instance.report_run_canceling(run)


def _try_for(seconds: float, *actions: Callable[[], object]) -> None:
    """Do something, unless the disk keeps a person waiting; the next run mends what was not done."""

    def act() -> None:
        for action in actions:
            with suppress(Exception):  # a full disk, above all
                action()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)


@contextmanager
def stoppable(instance: dg.DagsterInstance, run_id: str, cleanup: Callable[[], object]) -> Iterator[Stopping]:
    """Within it SIGINT and SIGTERM end the run, which is `RunStopped`.

    Outside the main thread, where no signal arrives, nothing happens.

    Args:
        instance: knows the run.
        run_id: of the run that begins within.
        cleanup: what else is to be given back before the process is ended by force.
    """
    stopping = Stopping(instance, run_id, cleanup)
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    try:
        with _heard(stopping):
            yield stopping
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        stopping.asked = True
    if stopping.asked:
        _try_for(LAST_SECONDS, stopping.close)
        raise RunStopped(f"stopped; {KEPT}")


@contextmanager
def _heard(stopping: Stopping) -> Iterator[None]:
    """Signals reach `stopping`, beside the handler that is set."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    thread = threading.Thread(target=stopping.hear, args=(ours,), daemon=True)
    earlier = {signal.SIGINT: signal.getsignal(signal.SIGINT), signal.SIGTERM: signal.getsignal(signal.SIGTERM)}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    heard = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C while the first one is at work
        stopping.end()
        signal.set_wakeup_fd(heard)
        theirs.close()
        thread.join()
        ours.close()
        if not stopping.asked:  # otherwise the command leaves
            for number, handler in earlier.items():
                signal.signal(number, handler)
