"""Three runs of one experiment at once over one store, beside collections of garbage and verifications."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from resources.paths import PROJECT
from storage.artifact import Store
from tests.homes import TRY, copy_home

RUN = "from pipelines.cli import app; app()"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_runs_at_once_beside_collections_and_verifications_end_as_one_alone(
    described: Path, corrected: Path, tmp_path: Path
) -> None:
    home = copy_home(described, tmp_path / "home", experiments={"try": TRY})
    environment = {**os.environ, "WORDMASK_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, "run", "-d", "little", "-e", "try"]
    runs = [subprocess.Popen(command, cwd=PROJECT, env=environment) for _ in range(3)]
    store = Store(home / "store")
    problems: list[object] = []
    while any(run.poll() is None for run in runs):
        store.collect_garbage(min_age=timedelta(0))
        store.collect_garbage(False, min_age=timedelta(0))
        problems += [problem for artifact in store.artifacts() for problem in store.verify(artifact)]
        problems += store.verify_pointers()
    assert [run.returncode for run in runs] == [0] * 3
    assert problems == []
    expected = Store(corrected / "store").refs()
    assert {key: one.content_digest for key, one in store.refs().items()} == {
        key: one.content_digest for key, one in expected.items()
    }
