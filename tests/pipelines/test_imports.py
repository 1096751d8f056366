"""What a command does not wait for: modules that it must not import, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

ANSWER = """
import json, sys
from pipelines.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("\\n" + json.dumps([code, sorted(sys.modules)]))
"""
HEAVY = {"dagster", "torch", "spacy", "transformers", "sqlalchemy", "numpy", "pyarrow", "PIL", "cv2", "scipy"}


def modules_after(*words: str) -> tuple[int, set[str]]:
    """Exit code of the command line, and every module that it imported."""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ANSWER, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(found.stdout.splitlines()[-1])
    return code, set(modules)


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--help"], 0), (["statsu"], 2), (["status", "--datset", "toyref"], 2)],
)
def test_a_help_text_and_a_wrong_option_wait_for_nothing(words: list[str], expected: int) -> None:
    code, modules = modules_after(*words)
    assert code == expected
    assert not modules & (HEAVY | {"pydantic", "yaml", "pipelines.config.yaml_files"})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["status"], 0),
        (["status", "-e", "bsae"], 1),
        (["run", "-e", "bsae"], 1),
        (["run", "--set", "mask_choices.sigma=-1"], 1),
        (["experiments"], 0),
        (["datasets"], 0),
        (["knobs", "mask_choices"], 0),
    ],
)
def test_the_state_of_an_experiment_is_told_without_dagster_and_without_tables(words: list[str], expected: int) -> None:
    code, modules = modules_after(*words)
    assert code == expected
    assert not modules & HEAVY
    assert not [name for name in modules if name.startswith(("obstore", "storage.remote."))]  # none is shared


@pytest.mark.parametrize("words", [["report", "--compare"], ["results", "--table", "9"], ["plan"]])
def test_what_is_only_read_does_without_dagster_and_torch(words: list[str]) -> None:
    _, modules = modules_after(*words)
    assert not modules & {"dagster", "torch", "spacy", "transformers", "sqlalchemy"}


def test_a_picture_that_is_not_there_is_told_before_a_model_is_loaded(tmp_path: Path) -> None:
    code, modules = modules_after("segment", str(tmp_path / "none.png"), "it")
    assert code == 1
    assert not modules & {"dagster", "torch", "transformers"}
