"""A home folder of its own for every test, and folders of pictures to add."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("WORDMASK_HOME", str(folder))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr("pipelines.graph.load.identify", lambda model: f"weights of {model}")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    """Make a folder with two pictures and `expressions.csv` of the given lines."""

    def make(lines: Sequence[str]) -> Path:
        folder = tmp_path / "mine"
        folder.mkdir()
        for name, colour in (("a.png", "red"), ("b.png", "blue")):
            Image.new("RGB", (40, 30), colour).save(folder / name)
        (folder / "expressions.csv").write_text("\n".join(lines) + "\n")
        return folder

    return make
