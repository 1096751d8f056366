"""`wordmask push`, `pull` and `gc`, and runs of two homes, over a real S3 server."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assets.framework.asset_factory import run_stage
from pipelines.cli import app
from pipelines.graph.load import identify, load_plan
from resources.dagster_resources import ArtifactStore
from resources.runtime import Runtime
from resources.store import Sharing, open_store
from storage.artifact import Store
from storage.files import sha256_of
from storage.remote.bucket import Bucket
from storage.remote.store import SharedStore
from tests.buckets import IMPATIENT, s3_server
from tests.homes import DESCRIBED, TRY, copy_home
from tests.paths import ROOT

Run = Callable[..., tuple[int, str]]
URL = "s3://shared/team"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, server: str) -> Run:
    """Exit code and output of a command in a home, white space folded."""
    monkeypatch.setenv("WORDMASK_REMOTE", URL)
    monkeypatch.setattr("pipelines.graph.load.identify", identify)  # the weights that `described` was made with

    def call(home: Path, *words: str) -> tuple[int, str]:
        monkeypatch.setenv("WORDMASK_HOME", str(home))
        result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result.exit_code, re.sub(r"\s+", " ", result.output)

    return call


@pytest.fixture
def first(described: Path, tmp_path: Path) -> Path:
    """A home with the descriptions of `little`."""
    return copy_home(described, tmp_path / "first", experiments={"try": TRY})


@pytest.fixture
def second(described: Path, tmp_path: Path) -> Path:
    """Another with the same raw data, and without results."""
    home = copy_home(described, tmp_path / "second", experiments={"try": TRY})
    shutil.rmtree(home / "store")
    return home


def manifests(home: Path) -> dict[tuple[str, ...], str]:
    """Digest of every artifact's manifest, by key."""
    return {key: sha256_of(artifact.path / "manifest.json") for key, artifact in Store(home / "store").refs().items()}


def test_what_one_home_pushes_another_pulls_and_has_ready(run: Run, first: Path, second: Path) -> None:
    code, said = run(first, "push", "-d", "little", "-e", "try")
    assert code == 0
    assert f"{len(manifests(first))} assets are in {URL}" in said
    assert run(first, "push") == (0, said)  # what is there is only looked up
    code, said = run(second, "pull", "-e", "try")
    assert code == 0
    assert "little/try/candidate_masks is not in the shared store" in said
    assert f"{len(manifests(first))} pulled" in said
    assert manifests(second) == manifests(first)
    code, said = run(second, "status", "-d", "little", "-e", "try")
    assert said.count("│ ready") == len(DESCRIBED)
    assert f"shared store: {URL}, project default: reachable" in said
    code, said = run(second, "pull")
    assert f"{len(DESCRIBED)} ready" in said


def test_a_run_of_another_home_computes_nothing_that_is_there(
    run: Run, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(first, "push")
    monkeypatch.setenv("WORDMASK_HOME", str(second))
    found: list[str] = []
    for instance in load_plan():
        if instance.stage.name in DESCRIBED and instance.dataset == "little":
            run_stage(instance, open_store(), Runtime(threads=1), found.append)
    assert sum("from the shared store" in line for line in found) == len(manifests(first)) == len(manifests(second))
    assert manifests(second) == manifests(first)


def test_results_of_other_settings_and_other_projects_are_left_where_they_are(
    run: Run, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(first, "push")
    turned = TRY.replace("knobs:", "knobs:\n  noun_phrases: {rule: chunk}")
    (second / "experiments" / "try.yaml").write_text(turned)
    _, said = run(second, "pull", "-d", "little")
    assert "little/try/noun_phrases is in the shared store as made with other settings" in said
    assert ("little", "try", "noun_phrases") not in manifests(second)
    monkeypatch.setenv("WORDMASK_PROJECT", "theirs")
    shutil.rmtree(second / "store")
    _, said = run(second, "pull", "-d", "little")
    assert "pulled" not in said
    assert manifests(second) == {}


def test_a_collection_lists_first_and_deletes_when_told_so(run: Run, first: Path) -> None:
    run(first, "push")
    bucket = Bucket(URL, IMPATIENT)
    key = "refs/default/little/dataset_index.json"
    assert bucket.delete(key)
    code, said = run(first, "gc", "--remote", "--days", "0")
    assert code == 0
    assert "dataset_index" in said
    assert "would be deleted; --delete deletes them" in said
    assert "0 results" in run(first, "gc", "--remote", "--delete")[1]  # thirty days, unless one says otherwise
    assert "MB: deleted" in run(first, "gc", "--remote", "--delete", "--days", "0")[1]
    assert not [one for one in bucket.entries("objects/") if "/dataset_index/" in f"/{one.name}"]
    assert run(first, "push")[0] == 0
    assert "0 results" in run(first, "gc")[1]


def test_a_shared_store_that_is_not_there_is_told_by_doctor_and_by_push(
    run: Run, first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.commands.doctor.diagnose", lambda **_: [])
    monkeypatch.setenv("WORDMASK_REMOTE", "/unmounted")  # short, or a table folds what is said
    code, said = run(first, "doctor")
    assert code == 1
    assert "is no folder; mount it" in said
    code, said = run(first, "push")
    assert code == 1
    assert "is no folder; mount it" in said
    monkeypatch.delenv("WORDMASK_REMOTE")
    code, said = run(first, "push")
    assert code == 1
    assert "no shared store is set; set WORDMASK_REMOTE" in said
    assert "│ not set" in run(first, "doctor")[1]


def test_a_step_of_dagster_opens_it_and_no_launchpad_sets_it(tmp_path: Path) -> None:
    opened = ArtifactStore(root=str(tmp_path), sharing=Sharing(remote=URL, project="ours")).open()
    assert isinstance(opened, SharedStore)
    assert (opened.remote.shared.url, opened.remote.shared.project) == (URL, "ours")
    assert not hasattr(ArtifactStore, "to_config_schema")


@pytest.mark.slow
def test_a_whole_run_of_another_home_computes_nothing_that_is_there(run: Run, first: Path, second: Path) -> None:
    run(first, "push")
    words = ["run", "-d", "little", "-e", "try", "--until", "projected_classes"]
    environment = {**os.environ, "WORDMASK_HOME": str(second), "COLUMNS": "200"}
    command = [sys.executable, "-m", "pipelines.cli", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("from the shared store; nothing to compute") == 4
    assert manifests(second).items() <= manifests(first).items()
