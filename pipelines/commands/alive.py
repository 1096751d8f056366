"""Which runs are alive: those whose process is gone are closed, for they would keep others waiting.

A run of a terminal names an owner, who holds a lock of this host, or gives signs of life in the database that several
hosts share, see `resources.database`. A run of a page lives as long as the code server that runs it.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg

from resources.database import alive, database_address, forget, living
from resources.paths import home
from storage.locks import exclusive, is_free

OWNER = "wordmask/alive"
"""Tag of runs that live in a terminal's process: a name that no other host, container or later process with the same
number can take for its own."""
SERVER = ".dagster/grpc_info"
"""Tag of runs that were launched on a page: JSON that says where the code server listens that runs them."""
DEAD_RUN_SECONDS = 15.0
"""How often a run looks whether the run that it waits for was killed."""


@contextmanager
def ending_dead_runs(instance: dg.DagsterInstance) -> Iterator[None]:
    """End dead runs at once and every `DEAD_RUN_SECONDS`: one may die while this run waits for its slot of a pool."""
    left = threading.Event()

    def watch() -> None:
        while not left.wait(DEAD_RUN_SECONDS):
            with suppress(Exception):  # a history that is away for a moment is looked at again
                end_dead_runs(instance)

    end_dead_runs(instance)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def end_dead_runs(instance: dg.DagsterInstance, *, of_pages: bool = False) -> list[str]:
    """Close runs whose process was killed, and free the pool slots they hold; their run ids.

    Without this the next run would wait for a slot that nobody gives back.

    Args:
        instance: knows the runs.
        of_pages: also where hosts share a database, those whose code server does not answer on this host; for the one
            host that runs what pages launch.
    """
    is_dead = _judge(of_pages=of_pages)
    states = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    unfinished = dg.RunsFilter(statuses=states)
    gone = {run.run_id for run in instance.get_runs(filters=unfinished) if is_dead(run)}
    dead = [run for run in instance.get_runs(filters=unfinished) if run.run_id in gone]  # some ended meanwhile
    for run in dead:
        instance.report_run_canceled(run, message="its process is gone; what it finished is kept")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        if OWNER in run.tags:
            forget_owner(run.tags)
    return [run.run_id for run in dead]


def _judge(*, of_pages: bool) -> Callable[[dg.DagsterRun], bool]:
    """Whether the terminal's process, or the code server, that runs something is gone."""
    address = database_address()
    owners = living(address) if address else set[str]()

    def is_dead(run: dg.DagsterRun) -> bool:
        if OWNER in run.tags:
            owner = run.tags[OWNER]
            return (owners is not None and owner not in owners) if address else is_free(_locks() / owner)
        if address and not of_pages:  # the server is another host's, perhaps
            return False
        return SERVER in run.tags and not _answers(json.loads(run.tags[SERVER]))

    return is_dead


def _answers(server: Mapping[str, Any]) -> bool:
    """Whether somebody listens there."""
    path = server.get("socket")
    with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(path or (server["host"], server["port"]))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # nobody can tell
            return True
    return True


@contextmanager
def owned() -> Iterator[dict[str, str]]:
    """The tags of a run of this process, which shows that it lives; that ends with the process, however it ends.

    Raises:
        Refused: hosts share a database, which does not serve.
    """
    token, address = uuid4().hex, database_address()
    with alive(address, token) if address else _locked(token):
        yield {OWNER: token}


@contextmanager
def _locked(token: str) -> Iterator[None]:
    with exclusive(_locks() / token, timeout=0.0):
        try:
            yield
        finally:
            forget_owner({OWNER: token})


def forget_owner(tags: Mapping[str, str]) -> None:
    """Remove what shows that the owner lives whom tags of a run name."""
    if address := database_address():
        forget(address, tags[OWNER])
    else:
        (_locks() / tags[OWNER]).unlink(missing_ok=True)


def _locks() -> Path:
    return home() / "dagster" / "alive"
