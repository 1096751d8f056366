"""What a person sees on the terminal, errors above all."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code and output, white space folded."""
    monkeypatch.setenv("DAGSTER_HOME", "")  # what a command sets is undone after the test

    def call(*words: str | Path) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
        return result.exit_code, re.sub(r"\s+", " ", result.output)

    return call


def test_without_a_command_the_help_names_them_all(run: Run) -> None:
    _, said = run("--help")
    names = "demo run add ui status report export segment serve results cost nouns places models doctor"
    names += " experiments datasets knobs compare review push pull gc"
    for command in re.findall(r"\w+", names):
        assert f" {command} " in said


def test_in_an_empty_home_every_stage_is_missing(run: Run, home: Path) -> None:
    code, said = run("status")
    assert code == 0
    assert "mask_choices" in said
    assert said.count("missing") == said.count("toyref/")
    assert "ready" not in said
    assert not (home / "store").exists()


@pytest.mark.parametrize("command", ["run", "report", "status"])
def test_an_unknown_experiment_is_refused_with_exit_code_1(run: Run, command: str) -> None:
    code, said = run(command, "-e", "bsae")
    assert code == 1
    assert "bsae" in said
    assert "Traceback" not in said


def test_a_suite_takes_no_experiment_beside_it(run: Run) -> None:
    code, said = run("run", "--suite", "ssc_table3", "-e", "base")
    assert code == 2
    assert "a suite says itself which experiments it runs" in said


def test_a_suite_goes_on_behind_a_run_that_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def record(dataset: str, experiment: str, **_: object) -> bool:
        ran.append(experiment)
        return experiment != "base"

    monkeypatch.setattr("pipelines.commands.launching.run_experiment", record)
    code, said = run("run", "--suite", "ssc_table3")
    assert code == 1
    assert ran == ["base", "red_ellipse_small_clip", "red_ellipse", "gl_clip_detector", "small_clip"]
    assert "run 3 of 5: red_ellipse, until choice_scores" in said
    assert said.count("done; see") == 4


def test_a_pair_that_nobody_asked_for_is_told_how_to_ask(run: Run) -> None:
    code, said = run("status", "-e", "red_ellipse")
    assert code == 1
    assert "experiment red_ellipse was not asked for on data set toyref" in said
    assert "`wordmask run -d toyref -e red_ellipse`" in said
    assert "base on toyref" in said


def test_a_report_before_the_run_says_what_to_run(run: Run) -> None:
    code, said = run("report")
    assert code == 1
    assert "wordmask run -d toyref -e base" in said


def test_a_broken_experiment_file_is_named(run: Run, home: Path) -> None:
    (home / "experiments").mkdir(parents=True)
    (home / "experiments" / "odd.yaml").write_text("extends: base\nknobs: {mask_choices: {sigmma: 1}}\n")
    for command in ("run", "status", "report"):
        code, said = run(command, "-e", "odd")
        assert code == 1
        assert "odd.yaml: stage mask_choices: no knob is called sigmma; did you mean sigma?" in said
    code, said = run("status")
    assert code == 0
    assert "left out:" in said
    assert "no knob is called sigmma" in said


def test_an_empty_folder_is_told_what_it_needs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, said = run("add", tmp_path / "empty", "--name", "mine")
    assert code == 1
    assert "expressions.csv" in said
    assert "image, expression" in said


def test_a_table_without_the_column_is_told_so(run: Run, pictures: Callable[[Sequence[str]], Path]) -> None:
    code, said = run("add", pictures(["image,caption", "a.png,the red one"]), "--name", "mine")
    assert code == 1
    assert "expressions.csv has no column expression; it has image, caption" in said


def test_an_added_folder_is_ready_to_run(run: Run, home: Path, pictures: Callable[[Sequence[str]], Path]) -> None:
    code, said = run("add", pictures(["image,expression", "a.png,the red one"]), "--name", "mine")
    assert code == 0
    assert "Expressions: 1 (train 1); objects: 1; images: 1." in said
    assert "wordmask run -d mine -e base" in said
    code, said = run("status", "-d", "mine")
    assert code == 0
    assert "mine/base/mask_choices" in said


def test_a_home_that_cannot_be_written_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "file" / "home"))
    code, said = run("run", "--until", "references")
    assert code == 1
    assert "set WORDMASK_HOME to another folder" in said


def test_a_comparison_with_what_nobody_asked_for_is_refused(run: Run) -> None:
    code, said = run("compare", "red_ellipse", "base")
    assert code == 1
    assert (
        "experiment red_ellipse was not asked for on data set toyref: `wordmask run -d toyref -e red_ellipse`" in said
    )


def test_an_unknown_table_is_told_which_there_are(run: Run) -> None:
    code, said = run("results", "--table", "9", "--show")
    assert code == 1
    assert "choose from 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, ours" in said


def test_a_file_that_is_no_text_is_named(run: Run, home: Path) -> None:
    (home / "experiments").mkdir(parents=True)
    (home / "experiments" / "odd.yaml").write_bytes(b"extends: \xff")
    code, said = run("status", "-e", "odd")
    assert code == 1
    assert "odd.yaml is no UTF-8 (byte 9); save it as UTF-8" in said


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*_: str) -> None:
        raise ValueError("zip() argument 2 is shorter than argument 1")

    monkeypatch.setattr("pipelines.commands.status.status_table", planted)
    result = CliRunner().invoke(app, ["status"])
    assert type(result.exception) is ValueError
    assert "zip()" not in result.output
