"""A person stops a run: it ends within seconds, stands as cancelled, looks like nothing broken, and can go on."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from pipelines.cli import app
from pipelines.commands.alive import owned
from pipelines.commands.stopping import KEPT, stoppable
from pipelines.commands.terminal import STOPPED
from pipelines.graph.instance import history
from tests.homes import copy_home
from tests.kills.victim import LONG, STEP
from tests.processes import warm_processes


@pytest.fixture
def home(described: Path, tmp_path: Path) -> Path:
    return copy_home(described, tmp_path, experiments={"long": LONG})


def run(home: Path, output: Path) -> None:
    """`wordmask run` in a process of its own, its lines in a file."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    os.environ["WORDMASK_HOME"] = str(home)
    with output.open("w", buffering=1) as sys.stdout:
        sys.stderr = sys.stdout
        app(["run", "-d", "little", "-e", "long", "--until", "supervised"])


@contextmanager
def training(home: Path, output: Path) -> Iterator[BaseProcess]:
    """The run once its training tells of a step."""
    process = warm_processes().Process(target=run, args=(home, output))
    process.start()
    try:
        while not (output.exists() and STEP.search(output.read_text())):
            assert process.is_alive(), "the training was over before it told of a step"
            time.sleep(0.1)
        yield process
    finally:
        process.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_training_that_a_person_stops_ends_at_once_and_is_not_tried_again(home: Path, how: signal.Signals) -> None:
    with training(home, told := home / "told.txt") as process:
        assert process.pid is not None
        os.kill(process.pid, how)
        process.join(60)
    assert process.exitcode == STOPPED
    assert told.read_text().endswith(f"stopping\nstopped; {KEPT}\n")
    assert "Traceback" not in told.read_text()
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        (run,) = instance.get_runs()
        kinds = {entry.dagster_event_type for entry in instance.all_logs(run.run_id)}
    assert run.status is dg.DagsterRunStatus.CANCELED
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in kinds


def run_deaf(home: Path, output: Path) -> None:
    """A run whose main thread takes no notice of a signal, as in the middle of a library's long work."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["WORDMASK_HOME"] = str(home)
    with owned() as tags, history() as instance:
        run = create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
        instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
        instance.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "a_step")
        with stoppable(instance, run.run_id, cleanup=lambda: output.write_text("cleaned up")):
            output.touch()
            while True:
                with suppress(KeyboardInterrupt):
                    time.sleep(600)


def test_a_run_that_takes_no_notice_is_ended_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path))
    output = tmp_path / "told.txt"
    process = warm_processes().Process(target=run_deaf, args=(tmp_path, output))
    process.start()
    while not output.exists():
        assert process.is_alive()
        time.sleep(0.1)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == STOPPED
    assert output.read_text() == "cleaned up"
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.CANCELED
        assert not instance.event_log_storage.get_concurrency_info("gpu").active_run_ids
