"""A person stops a run: the step ends at once and is not tried again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from resources.paths import PROJECT
from tests.homes import copy_home
from tests.kills.victim import LONG, STEP

RUN = "from pipelines.cli import app; app()"


@pytest.fixture
def home(described: Path, tmp_path: Path) -> Path:
    return copy_home(described, tmp_path, experiments={"long": LONG})


@contextmanager
def training(home: Path) -> Iterator[subprocess.Popen[str]]:
    """`wordmask run` in a process of its own, once its training tells of a step."""
    words = ["run", "-d", "little", "-e", "long", "--until", "supervised"]
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *words],
        cwd=PROJECT,
        env={**os.environ, "WORDMASK_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell in the background ignores it
    ) as process:
        try:
            assert process.stdout is not None
            assert any(map(STEP.search, process.stdout)), "the training was over before it told of a step"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_training_that_a_person_stops_ends_at_once_and_is_not_tried_again(home: Path, how: signal.Signals) -> None:
    with training(home) as process:
        process.send_signal(how)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "what was computed is kept" in told
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        (run,) = instance.get_runs()
        kinds = {entry.dagster_event_type for entry in instance.all_logs(run.run_id)}
    assert run.is_finished
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in kinds
