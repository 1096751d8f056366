"""The folder of Dagster's history: runs, logs and events that stay between commands."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ops.refusal import Refused
from resources.database import VARIABLE, claimed, database_address
from resources.paths import PROJECT, home
from storage.files import write_bytes
from storage.locks import exclusive

if TYPE_CHECKING:
    from dagster import DagsterInstance

OPENING_SECONDS = 120.0
"""How long one process may take to open the history, while others wait."""

STORAGE = f"storage:\n  postgres:\n    postgres_url:\n      env: {VARIABLE}\n".encode()
"""Settings of Dagster; the address stays in the environment."""


def instance_folder() -> Path:
    """The persistent Dagster instance folder (`$DAGSTER_HOME`), made with the template on first use.

    Where hosts share a database, runs and events lie in it, and what is written by programs stays in a folder beside.

    Raises:
        Refused: Dagster could not find its files there, for their path would be a pattern or an address; or there is
            no such database.
    """
    shared = database_address()
    folder = home() / ("dagster_shared" if shared else "dagster")
    odd = sorted(set(str(folder)) & set("[]*?%"))
    if odd:
        raise Refused(f"Dagster cannot work in {folder}: choose a WORDMASK_HOME without {' '.join(odd)}")
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists() or not settings.read_bytes():
        template = (PROJECT / "resources" / "dagster.yaml").read_bytes()
        write_bytes(settings, template + (STORAGE if shared else b""))
    return folder


SILENT = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}
"""Dagster's setting `compute_logs` for a process that keeps no copy of what it prints."""


@contextmanager
def history(*, copies_output: bool = True) -> Iterator["DagsterInstance"]:
    """Dagster's instance of the home, which child processes find as well.

    Processes that begin together open it one after the other: Dagster breaks its files when two make them at once.

    Args:
        copies_output: keep what stages print for the pages. In a terminal it is printed there; for the copy Dagster
            would start processes that break with tracebacks when a person presses Ctrl-C.

    Raises:
        Refused: see `instance_folder`.
    """
    import dagster as dg  # takes seconds
    from dagster._core.instance.ref import InstanceRef

    folder = instance_folder()
    os.environ["DAGSTER_HOME"] = str(folder)
    changed = {} if copies_output else {"compute_logs": SILENT}
    with claimed("history", lambda _: None), exclusive(folder / "opening.lock", timeout=OPENING_SECONDS):
        instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=changed))
    with instance:
        yield instance
