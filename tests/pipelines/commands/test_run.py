"""Running from a terminal: what is told, and what becomes of runs that were killed."""

import json
import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from PIL import Image

from pipelines.commands import alive
from pipelines.commands.alive import end_dead_runs, ending_dead_runs, owned
from pipelines.commands.launching import run_experiment
from pipelines.commands.run import failure_reason, holder
from pipelines.commands.terminal import console
from pipelines.graph.instance import history, instance_folder
from tests.pipelines.planning import write_files


@pytest.fixture(autouse=True)
def _undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run sets in the environment is undone after the test."""
    monkeypatch.setenv("DAGSTER_HOME", "")


def test_an_experiment_runs_to_its_end_and_is_a_look_up_the_second_time(home: Path) -> None:
    write_files(home / "datasets", {"tiny": {"kind": "toyref", "toy": {"size": "tiny"}}})
    write_files(home / "experiments", {"corpus": {"targets": ["references", "ground_truth"], "datasets": ["tiny"]}})
    assert run_experiment("tiny", "corpus")

    def again() -> str:
        with console.capture() as printed:
            assert run_experiment("tiny", "corpus")
        return printed.get()

    assert again() == "3 stages are up to date; nothing to compute\n"
    with history() as instance:
        assert len(instance.get_runs()) == 1
    for note in instance_folder().glob("finished/*"):
        note.unlink()  # as where the artifacts came by other ways than a run of this home
    looked_up = again()
    assert looked_up.count("nothing to compute") == 3
    assert [f"stage  {place} of 3" in looked_up for place in (1, 2, 3, 4)] == [True, True, True, False]
    assert "up to date" in again()
    next((home / "store" / "refs").rglob("references.json")).unlink()
    assert "up to date" not in again()


def test_a_failed_stage_is_named_with_its_reason(home: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    write_files(home / "datasets", {"gone": {"kind": "folder", "root": str(tmp_path / "pictures")}})
    write_files(home / "experiments", {"corpus": {"targets": ["references"], "datasets": ["gone"]}})
    with console.capture() as printed:
        assert not run_experiment("gone", "corpus")
    output = " ".join(printed.get().split())
    assert "gone__dataset_index failed: " in output
    assert "holds neither expressions.jsonl nor expressions.csv" in output


def test_what_a_check_found_is_told(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = ["image,expression,split", *(f"[{letter}].png,the thing,val" for letter in "abc"), "d.png,the dot,val"]
    (folder / "expressions.csv").write_text("\n".join(lines))
    Image.new("RGB", (40, 30)).save(folder / "d.png")
    write_files(home / "datasets", {"holes": {"kind": "folder", "root": str(folder), "evaluate": ["val"]}})
    write_files(home / "experiments", {"corpus": {"targets": ["noun_phrases"], "datasets": ["holes"]}})
    with console.capture() as printed:
        assert not run_experiment("holes", "corpus")
    output = " ".join(printed.get().split())
    assert "[b].png is missing" in output
    assert "3 of 4 left out (more than a half, so nothing goes on)" in output


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
        states = {record.run_id: record.status for record in instance.get_runs()}
        assert states == {
            dead.run_id: dg.DagsterRunStatus.CANCELED,
            living.run_id: dg.DagsterRunStatus.STARTED,
        }


def test_a_run_of_killed_pages_gives_its_pool_slot_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with dg.DagsterInstance.ephemeral() as instance, socket.socket(socket.AF_UNIX) as there:
        there.bind("there")
        there.listen()
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind("killed")
        runs = {
            name: create_run_for_test(
                instance,
                tags={".dagster/grpc_info": json.dumps({"host": "localhost", "socket": name})},
                status=dg.DagsterRunStatus.STARTED,
            ).run_id
            for name in ("there", "killed", "removed")
        }
        assert set(end_dead_runs(instance)) == {runs["killed"], runs["removed"]}
        assert instance.get_run_by_id(runs["there"]).status == dg.DagsterRunStatus.STARTED  # type: ignore[union-attr]


def test_a_run_that_waits_notices_that_the_one_before_it_was_killed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "DEAD_RUN_SECONDS", 0.5)
    with history() as instance, ExitStack() as killed:
        tags = killed.enter_context(owned())
        first = create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
        pools = instance.event_log_storage
        pools.initialize_concurrency_limit_to_default("gpu")
        assert pools.claim_concurrency_slot("gpu", first.run_id, "a_step").is_claimed
        with ending_dead_runs(instance):
            assert not pools.claim_concurrency_slot("gpu", "another", "a_step").is_claimed
            killed.close()
            until = time.monotonic() + 20
            while not pools.claim_concurrency_slot("gpu", "another", "a_step").is_claimed:
                assert time.monotonic() < until
                time.sleep(0.2)


def test_whose_run_a_run_waits_for_is_told() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first, second = (create_run_for_test(instance, job_name=f"mine__{name}") for name in ("base", "sharper"))
        pools = instance.event_log_storage
        pools.set_concurrency_slots("gpu", 1)
        assert holder(instance, "gpu", second.run_id) == "another run"
        assert pools.claim_concurrency_slot("gpu", first.run_id, "a_step").is_claimed
        told = holder(instance, "gpu", second.run_id)
        assert re.fullmatch(rf"run {first.run_id[:8]} of mine__base, begun at \d\d:\d\d,", told)


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
