"""Pages, daemon and code server as processes of their own, as in containers: the pages show the graph, and run it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipelines.commands.code_server import VARIABLE
from resources.paths import PROJECT
from tests.browser.serving import ask, finished, loaded
from tests.homes import write_home
from tests.ports import free_port

LAUNCH = """mutation {{ launchRun(executionParams: {{
  selector: {{ repositoryLocationName: "wordmask", repositoryName: "__repository__", jobName: "{job}" }}
}}) {{ __typename ... on PythonError {{ message }} }} }}"""


@contextmanager
def process(home: Path, code: int, *arguments: str) -> Iterator[None]:
    environment = {**os.environ, "WORDMASK_HOME": str(home), VARIABLE: f"127.0.0.1:{code}", "OMP_NUM_THREADS": "1"}
    environment.pop("DAGSTER_HOME", None)
    with (home.with_name(f"{arguments[0]}.log")).open("w") as log:
        command = [sys.executable, "-m", f"pipelines.commands.{arguments[0]}", *arguments[1:]]
        running = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        running.terminate()
        running.wait(30)


@pytest.mark.slow
def test_three_processes_serve_and_run_the_graph(tmp_path: Path) -> None:
    home = write_home(
        tmp_path / "home",
        datasets={"tiny": "{kind: toyref, toy: {size: tiny}, experiments: [look]}"},
        experiments={"look": "{datasets: [tiny], targets: [references]}"},
    )
    code, port = free_port(), free_port()
    address = f"http://127.0.0.1:{port}"
    with ExitStack() as running:
        running.enter_context(process(home, code, "code_server", "127.0.0.1", str(code)))
        running.enter_context(process(home, code, "webserver", "127.0.0.1", str(port), str(os.getpid())))
        running.enter_context(process(home, code, "daemon", str(os.getpid())))
        until = time.monotonic() + 150
        while not loaded(address):
            assert time.monotonic() < until, "the pages did not open"
            time.sleep(0.5)
        launched = ask(address, LAUNCH.format(job="tiny__look"))["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        assert finished(address, after={}) == "SUCCESS"
