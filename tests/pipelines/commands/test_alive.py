"""Runs of several hosts in one database: only the dead are closed, and the database may go away meanwhile."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from pipelines.commands.alive import SERVER, end_dead_runs, owned
from pipelines.graph.instance import history
from resources import database
from resources.database import VARIABLE
from resources.paths import PROJECT
from tests.databases import PASSWORD, Server, needs_postgres, postgres
from tests.homes import copy_home
from tests.kills.victim import LONG, STEP


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        yield running


@needs_postgres
def test_a_run_of_another_host_is_closed_only_when_it_gives_no_sign_of_life(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, server.address)
    monkeypatch.setattr(database, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(database, "BEAT_SECONDS", 0.2)
    with dg.DagsterInstance.ephemeral() as instance:
        of_pages = create_run_for_test(
            instance, tags={SERVER: '{"host": "localhost", "port": 9}'}, status=dg.DagsterRunStatus.STARTED
        )
        with owned() as tags:
            run = create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
            time.sleep(1.5)
            assert end_dead_runs(instance) == []
        assert end_dead_runs(instance) == [run.run_id]
        assert end_dead_runs(instance, of_pages=True) == [of_pages.run_id]


@contextmanager
def training(home: Path, address: str) -> Iterator["subprocess.Popen[str]"]:
    """A run of a terminal, once its training tells of a step."""
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "run", "-d", "little", "-e", "long", "--until", "supervised"],
        cwd=PROJECT,
        env={**os.environ, "WORDMASK_HOME": str(home), VARIABLE: address},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            await_step(process)
            yield process
        finally:
            process.kill()


def await_step(process: "subprocess.Popen[str]") -> None:
    told = []
    assert process.stdout is not None
    for line in process.stdout:
        told.append(line)
        if STEP.search(line):
            return
    pytest.fail("".join(told))


@needs_postgres
@pytest.mark.slow
def test_hosts_share_a_history_that_may_go_away(
    server: Server, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_home(described, tmp_path / "one", experiments={"long": LONG})
    monkeypatch.setenv(VARIABLE, server.address)
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "other"))
    monkeypatch.setattr(database, "SILENT_SECONDS", 12.0)
    with history() as instance, training(home, server.address) as process:
        (run,) = instance.get_runs()
        server.kill()
        time.sleep(5)
        server.start()
        await_step(process)
        assert end_dead_runs(instance) == []
        process.kill()
        until = time.monotonic() + 60
        while not (ended := end_dead_runs(instance)):
            assert time.monotonic() < until
            time.sleep(1)
        assert ended == [run.run_id]
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED  # type: ignore[union-attr]
    with training(home, server.address) as process:
        server.kill()
        said, _ = process.communicate(timeout=600)
        server.start()
    told = " ".join(said.split())
    assert process.returncode == 1
    assert re.search(r"the database at 127\.0\.0\.1:\d+/postgres went away", told)
    assert "Traceback" not in said
    assert PASSWORD not in said
