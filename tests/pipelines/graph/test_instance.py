"""The folder of Dagster's history."""

import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest

from ops.refusal import Refused
from pipelines.graph.instance import history, instance_folder
from resources.paths import PROJECT
from tests.processes import warm_processes

AT_ONCE = 4


def test_the_instance_folder_is_made_once_and_an_edited_copy_stays(home: Path) -> None:
    folder = instance_folder()
    settings = folder / "dagster.yaml"
    assert settings.read_text() == (PROJECT / "resources" / "dagster.yaml").read_text()
    settings.write_text("telemetry: {enabled: false}\n")
    instance_folder()
    assert settings.read_text() == "telemetry: {enabled: false}\n"


def test_a_home_that_dagster_takes_for_a_pattern_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "old [1]"))
    with pytest.raises(Refused, match=r"without \[ \]"):
        instance_folder()


def test_settings_that_a_full_disk_left_empty_are_written_again(home: Path) -> None:
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").touch()
    instance_folder()
    assert (home / "dagster" / "dagster.yaml").read_text() == (PROJECT / "resources" / "dagster.yaml").read_text()


def open_history(home: str, gate: Barrier) -> None:
    """In a process of its own, when all are there."""
    os.environ["WORDMASK_HOME"] = home
    gate.wait(120)
    with history() as instance:
        instance.get_runs()


def test_processes_that_begin_at_once_in_a_fresh_home_make_one_history(home: Path) -> None:
    context = warm_processes()
    gate = context.Barrier(AT_ONCE)
    started = [context.Process(target=open_history, args=(str(home), gate)) for _ in range(AT_ONCE)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * AT_ONCE
    with history() as instance:
        assert instance.get_runs() == []
        assert dg.DagsterInstance.get().root_directory == str(home / "dagster")
