"""Whatever the umask, nobody else reads or changes what lies in the home: files are 0600, folders 0700."""

import os
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.graph.maintenance import NewExperiment, register
from resources.toyref.refcoco_writer import COUNTS
from storage.locks import exclusive
from tests.homes import IMAGES, write_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that is not there yet, in the hands of a person whose umask hides nothing."""
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setitem(COUNTS, "tiny", IMAGES)
    before = os.umask(0)
    yield tmp_path / "home"
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """What is neither a folder of mode 0700 nor a file of mode 0600."""
    return [
        f"{path.relative_to(folder.parent)} {mode:o}"
        for path in (folder, *folder.rglob("*"))
        if (mode := path.stat().st_mode & 0o777) != (0o700 if path.is_dir() else 0o600)
    ]


def call(*words: str) -> None:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output


def test_what_commands_leave_in_the_home_is_private(home: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (40, 30)).save(pictures / "a.png")
    (pictures / "expressions.csv").write_text("image,expression\na.png,the dot\n")
    call("add", str(pictures), "--name", "mine")
    os.umask(0)
    call("run", "-d", "mine", "-e", "base", "--until", "references")
    assert {"datasets", "dagster", "store"} <= {path.name for path in home.iterdir()}
    assert open_to_others(home) == []


def test_a_drawn_world_and_what_dagster_loads_and_writes_is_private(home: Path) -> None:
    runpy.run_module("pipelines.definitions")
    register(NewExperiment(name="mine", knobs={"mask_choices": {"sigma": 0.15}}))
    write_home(home, datasets={"tiny": "{kind: toyref, toy: {size: tiny}, experiments: [mine]}"}, experiments={})
    os.umask(0)
    call("run", "-d", "tiny", "-e", "mine", "--until", "dataset_index")
    assert {"experiments", "worlds"} <= {path.name for path in home.iterdir()}
    assert open_to_others(home) == []


def test_a_lock_is_private_by_itself(home: Path) -> None:
    home.mkdir()
    with exclusive(home / "lock", timeout=0.0):
        assert (home / "lock").stat().st_mode & 0o777 == 0o600
