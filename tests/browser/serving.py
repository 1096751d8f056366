"""Start the real pages in a home of their own, and stop them without leftovers."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from resources.paths import PROJECT
from tests.ports import free_port

READY = (
    "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }"
)


@contextmanager
def pages(home: Path, *, patience: float = 60.0) -> Iterator[str]:
    """`wordmask ui` on a free port; yields its address once the definitions are loaded."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", "from pipelines.cli import app; app()", "ui", "--port", str(port)]
    environment = {**os.environ, "WORDMASK_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment.pop("DAGSTER_HOME", None)
    log = home.with_name("ui.log")
    with log.open("w") as output, started(command, environment, output) as process:
        deadline = time.monotonic() + patience
        while not loaded(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the pages did not open:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)
        yield address


@contextmanager
def started(command: list[str], environment: dict[str, str], output: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """A process with children that is stopped as a person does it, by Ctrl+C, and must then be gone with them all."""
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell in the background ignores it
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        deadline = time.monotonic() + 10
        while (left := members(environment["WORDMASK_HOME"])) and time.monotonic() < deadline:
            time.sleep(0.2)
        for one in left:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.wait(timeout=10)
    assert not left, f"{len(left)} processes outlived the pages"


def members(home: str) -> list[int]:
    """Processes that were started for this home."""
    mark = f"WORDMASK_HOME={home}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return [one for one in found if one != os.getpid()]


def ask(address: str, query: str) -> dict[str, Any]:
    """The answer to a GraphQL query."""
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
    return data


def newest_run(address: str) -> dict[str, str]:
    """Id and status of the run that was launched last; empty when there is none."""
    query = "{ runsOrError(limit: 1) { ... on Runs { results { runId status } } } }"
    runs: list[dict[str, str]] = ask(address, query)["runsOrError"]["results"]
    return runs[0] if runs else {}


def finished(address: str, *, after: dict[str, str], patience: float = 120.0) -> str:
    """How the run ended that was launched after another one, once it has."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        run = newest_run(address)
        if run.get("runId") != after.get("runId") and run["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            return run["status"]
        time.sleep(0.5)
    return f"not finished: {newest_run(address)}"


def loaded(address: str) -> bool:
    """Whether the server answers and has the definitions."""
    try:
        entries = ask(address, READY)["workspaceOrError"].get("locationEntries", [])
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return bool(entries) and all(
        (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation" for entry in entries
    )
