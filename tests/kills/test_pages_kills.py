"""SIGKILL of the pages, the daemon and the server while they run an experiment: nothing is lost or left over."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.graph.jobs import job_name
from resources.paths import PROJECT
from storage.artifact import Store
from tests.browser.serving import ask, loaded, members
from tests.browser.test_stop import LAUNCH
from tests.homes import TRY, copy_home
from tests.kills.victim import progress
from tests.ports import free_port

RUN = "from pipelines.cli import app; app()"
SERVING = ("pipelines.commands.webserver", "pipelines.commands.daemon")
KILLS = 3


def wait_for(what: Callable[[], object], *, seconds: float, complaint: str) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.2)


def running(home: Path, *modules: str) -> list[int]:
    """Processes of this home that run one of the modules."""
    found = []
    for process in members(str(home)):
        with suppress(OSError):
            if any(module in Path(f"/proc/{process}/cmdline").read_text() for module in modules):
                found.append(process)
    return found


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    return {**kept, "WORDMASK_HOME": str(home), "OMP_NUM_THREADS": "1"}


def disturb(home: Path, victim: str, *, delay: float) -> None:
    """Open the pages, launch the experiment there, and kill one of their processes in the middle of it."""
    port, store = free_port(), home / "store"
    command = [sys.executable, "-c", RUN, "ui", "--port", str(port)]
    with (home.with_name("ui.log")).open("w") as log:
        pages = subprocess.Popen(
            command, cwd=PROJECT, env=environment(home), stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: loaded(address), seconds=300, complaint="the pages did not open")
        before = progress(store)
        ask(address, LAUNCH.format(job=job_name("little", "try")))
        wait_for(lambda: progress(store) - before, seconds=200, complaint="no stage began to compute")
        time.sleep(delay)
        (hit,) = [pages.pid] if victim == "pages" else running(home, f"pipelines.commands.{victim}")
        os.kill(hit, signal.SIGKILL)
        wait_for(lambda: not running(home, *SERVING), seconds=40, complaint=f"{victim} was killed, and the others stay")
        assert pages.wait(timeout=20) != 0 or victim != "pages"
    finally:
        for process in {pages.pid, *members(str(home))}:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        pages.wait()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("victim", ["pages", "daemon", "webserver"])
def test_an_experiment_whose_pages_are_killed_goes_on_in_a_terminal(
    described: Path, corrected: Path, tmp_path: Path, victim: str
) -> None:
    home, moments = copy_home(described, tmp_path / "home", experiments={"try": TRY}), random.Random(victim)
    for _ in range(KILLS):
        disturb(home, victim, delay=moments.uniform(0, 3))
    command = [sys.executable, "-c", RUN, "run", "-d", "little", "-e", "try"]
    subprocess.run(command, cwd=PROJECT, env=environment(home), check=True, timeout=600)
    found, expected = Store(home / "store"), Store(corrected / "store").refs()
    assert {key: one.content_digest for key, one in found.refs().items()} == {
        key: one.content_digest for key, one in expected.items()
    }
    assert not [problem for one in found.refs().values() for problem in found.verify(one)]
