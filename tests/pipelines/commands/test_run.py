"""Running from a terminal, and what a key's artifact is called afterwards."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from PIL import Image

from assets.framework.stage import StageInstance
from pipelines.commands import run as launch
from pipelines.commands.run import (
    console,
    dagster_home,
    end_dead_runs,
    failure_reason,
    in_use,
    leading_to,
    owned,
    run_experiment,
    state_of,
    tended,
)
from resources.paths import PROJECT
from storage.artifact import Store
from tests.pipelines.planning import planned, write_files


@pytest.fixture(autouse=True)
def _undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run sets in the environment is undone after the test."""
    monkeypatch.setenv("DAGSTER_HOME", "")


def commit(store: Store, instance: StageInstance, mark: str, *, planned: str, inputs: dict[str, str]) -> None:
    with store.claim(instance.stage.name, mark, recipe={"own": "own"}) as slot:
        slot.commit(inputs=inputs)
    store.point(instance.key, instance.stage.name, mark, planned=planned)


def test_a_stage_is_missing_then_ready_then_stale(home: Path, tmp_path: Path) -> None:
    instances = planned(tmp_path / "files", {"base": {"targets": ["references"]}})
    index, references = instances["set", "dataset_index"], instances["set", "base", "references"]
    store = Store(home / "store")
    assert state_of(references, store) == "missing"
    commit(store, index, "data", planned=index.recipe, inputs={})
    commit(store, references, "one", planned=references.recipe, inputs={"dataset_index": "data"})
    assert (state_of(index, store), state_of(references, store)) == ("ready", "ready")
    commit(store, references, "two", planned="other knobs", inputs={"dataset_index": "data"})
    assert state_of(references, store) == "stale"


def test_a_stage_is_stale_when_its_input_was_made_anew(home: Path, tmp_path: Path) -> None:
    instances = planned(tmp_path / "files", {"base": {"targets": ["references"]}})
    index, references = instances["set", "dataset_index"], instances["set", "base", "references"]
    store = Store(home / "store")
    commit(store, index, "data", planned=index.recipe, inputs={})
    commit(store, references, "one", planned=references.recipe, inputs={"dataset_index": "data"})
    commit(store, index, "newer", planned=index.recipe, inputs={})
    assert (state_of(index, store), state_of(references, store)) == ("ready", "stale")


def test_an_experiment_uses_shared_stages_and_its_own(tmp_path: Path) -> None:
    files: dict[str, dict[str, Any]] = {
        "base": {"targets": ["choice_scores"]},
        "blur": {"extends": "base", "knobs": {"mask_choices": {"sigma": 5.0}}},
    }
    instances = list(planned(tmp_path, files).values())
    used = {one.key[-1]: one.experiment for one in in_use(instances, "set", "blur")}
    assert used["candidate_masks"] == "base"
    assert used["mask_choices"] == "blur"
    assert not in_use(instances, "elsewhere", "blur")


def test_the_instance_folder_is_made_once_and_an_edited_copy_stays(home: Path) -> None:
    folder = dagster_home()
    settings = folder / "dagster.yaml"
    assert settings.read_text() == (PROJECT / "resources" / "dagster.yaml").read_text()
    settings.write_text("telemetry: {enabled: false}\n")
    dagster_home()
    assert settings.read_text() == "telemetry: {enabled: false}\n"


def test_an_experiment_runs_to_its_end_and_is_a_look_up_the_second_time(home: Path) -> None:
    write_files(home / "datasets", {"tiny": {"kind": "toyref", "toy": {"size": "tiny"}}})
    write_files(home / "experiments", {"corpus": {"targets": ["references", "ground_truth"], "datasets": ["tiny"]}})
    assert run_experiment("tiny", "corpus")
    with console.capture() as heard:
        assert run_experiment("tiny", "corpus")
    assert heard.get().count("nothing to compute") == 3


def test_a_failed_stage_is_named_with_its_reason(home: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    write_files(home / "datasets", {"gone": {"kind": "folder", "root": str(tmp_path / "pictures")}})
    write_files(home / "experiments", {"corpus": {"targets": ["references"], "datasets": ["gone"]}})
    with console.capture() as heard:
        assert not run_experiment("gone", "corpus")
    said = " ".join(heard.get().split())
    assert "gone__dataset_index failed: " in said
    assert "holds neither expressions.jsonl nor expressions.csv" in said


def test_what_a_check_found_is_told(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = ["image,expression,split", *(f"[{letter}].png,the thing,val" for letter in "abc"), "d.png,the dot,val"]
    (folder / "expressions.csv").write_text("\n".join(lines))
    Image.new("RGB", (40, 30)).save(folder / "d.png")
    write_files(home / "datasets", {"holes": {"kind": "folder", "root": str(folder), "evaluate": ["val"]}})
    write_files(home / "experiments", {"corpus": {"targets": ["noun_phrases"], "datasets": ["holes"]}})
    with console.capture() as heard:
        assert not run_experiment("holes", "corpus")
    said = " ".join(heard.get().split())
    assert "[b].png is missing" in said
    assert "3 of 4 left out (more than a half, so nothing goes on)" in said


def test_a_home_that_dagster_takes_for_a_pattern_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "old [1]"))
    with pytest.raises(ValueError, match=r"without \[ \]"):
        dagster_home()


def test_settings_that_a_full_disk_left_empty_are_written_again(home: Path) -> None:
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").touch()
    dagster_home()
    assert (home / "dagster" / "dagster.yaml").read_text() == (PROJECT / "resources" / "dagster.yaml").read_text()


def test_a_killed_terminal_run_gives_its_pool_slot_back() -> None:
    with dg.DagsterInstance.ephemeral() as instance, owned() as of_living, ExitStack() as killed:
        of_dead = killed.enter_context(owned())
        dead, living = (
            create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
            for tags in (of_dead, of_living)
        )
        assert end_dead_runs(instance) == []
        killed.close()
        assert end_dead_runs(instance) == [dead.run_id]
        found = {run.run_id: run.status for run in instance.get_runs()}
        assert found == {
            dead.run_id: dg.DagsterRunStatus.CANCELED,
            living.run_id: dg.DagsterRunStatus.STARTED,
        }


def test_a_run_that_waits_notices_that_the_one_before_it_was_killed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "TENDING_SECONDS", 0.5)
    dagster_home()
    with dg.DagsterInstance.get() as instance, ExitStack() as killed:
        tags = killed.enter_context(owned())
        first = create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
        pools = instance.event_log_storage
        pools.initialize_concurrency_limit_to_default("gpu")
        assert pools.claim_concurrency_slot("gpu", first.run_id, "a_step").is_claimed
        with tended(instance):
            assert not pools.claim_concurrency_slot("gpu", "another", "a_step").is_claimed
            killed.close()
            until = time.monotonic() + 20
            while not pools.claim_concurrency_slot("gpu", "another", "a_step").is_claimed:
                assert time.monotonic() < until
                time.sleep(0.2)


def test_a_run_may_end_in_a_stage_with_what_it_needs(tmp_path: Path) -> None:
    instances = list(planned(tmp_path / "files", {"base": {"targets": ["projected_classes"]}}).values())
    names = [one.stage.name for one in leading_to("noun_phrases", instances)]
    assert names == ["dataset_index", "references", "noun_phrases"]
    assert leading_to(None, instances) == instances
    with pytest.raises(ValueError, match="no stage is called report"):
        leading_to("report", instances)


def test_why_a_stage_failed_is_told_after_it_was_tried_again_too() -> None:
    @dg.op
    def stage() -> None:
        raise dg.RetryRequested(max_retries=0) from RuntimeError("out of memory")

    @dg.job
    def alone() -> None:
        stage()

    result = alone.execute_in_process(raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure_reason(failure) == "RuntimeError: out of memory"
