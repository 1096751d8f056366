"""Arguments and a home that no file system or text can have: told in one line, and nothing is left behind."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pipelines.cli import app

LONG = "a" * 300
RAW = "\udcff"
"""A byte of an argument that is no UTF-8, as Python has it."""
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What is said, in a folder with an image, a data set `mine`, and a link that leads around."""
    for name, value in (("DAGSTER_HOME", ""), ("WORDMASK_HOME", str(tmp_path / "home")), ("COLUMNS", "2000")):
        monkeypatch.setenv(name, value)
    for folder in ("mine", f"raw{RAW}"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 6)).save(tmp_path / folder / "p.png")
        (tmp_path / folder / "expressions.csv").write_text("image,expression\np.png,cup\n")
    (tmp_path / "around").symlink_to("around")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return re.sub(r"\s+", " ", result.output)

    return call


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("add", LONG, "--name", "mine"),
            "can not be reached (File name too long); give the one that holds the images",
        ),
        (("add", "mine", "--name", "mine", "--manifest", LONG), "... is missing; set manifest to the file"),
        (("add", "around", "--name", "mine"), "can not be reached (Too many levels of symbolic links)"),
        (("add", f"raw{RAW}", "--name", "mine"), "raw\\udcff holds what is no UTF-8"),
        (("segment", "mine/p.png", RAW), "'\\udcff': the expression is no valid Unicode text"),
        (("segment", "nosuch.png", "cup"), "nosuch.png is missing; name a file that is there"),
        (("nouns", "--pairs", LONG), " is missing; --pairs takes a CSV"),
    ],
)
def test_an_argument_that_leads_nowhere_is_told_in_one_line(
    run: Run, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    assert told in run(*words)
    assert not list(tmp_path.rglob("mine.yaml"))


@pytest.mark.parametrize("command", ["status", "doctor", "run"])
@pytest.mark.parametrize(("named", "told"), [("around", "Symlink loop"), ("~nobody_at_all/x", "home directory")])
def test_a_home_that_leads_nowhere_is_told_by_every_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, named: str, told: str
) -> None:
    monkeypatch.setenv("WORDMASK_HOME", named)
    said = run(command)
    assert said.startswith(f"WORDMASK_HOME is {named}, which leads nowhere")
    assert told in said


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_page_of_results_is_no_pipe(run: Run, tmp_path: Path, kind: str) -> None:
    (tmp_path / "out").mkdir() if kind == "folder" else os.mkfifo(tmp_path / "out")
    assert "a regular file is wanted" in run("results", "--show", "--out", "out", "--table", "1", "--seeds", "1")
