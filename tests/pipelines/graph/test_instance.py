"""The folder of Dagster's history."""

from pathlib import Path

import pytest

from ops.refusal import Refused
from pipelines.graph.instance import instance_folder
from resources.paths import PROJECT


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
