"""The jobs around experiments and the store."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.stages import STAGES
from pipelines.config.experiment_files import read_experiments
from pipelines.config.yaml_files import SHIPPED, experiment_folders
from pipelines.graph.load import load_plan
from pipelines.graph.maintenance import ask_for_experiments, collect_garbage, register_experiment, verify_store
from resources.dagster_resources import ArtifactStore
from storage.artifact import Store


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def store(home: Path) -> Store:
    """Two artifacts, `kept` with a key and `lost` without, both two days old."""
    store = Store(home / "store")
    for name in ("kept", "lost"):
        with store.claim("numbers", name, recipe={"own": name}) as slot:
            (slot.content / "note.txt").write_text(name)
            path = slot.commit().path
        for entry in (path, *path.rglob("*")):
            os.utime(entry, (time.time() - 2 * 86_400,) * 2)
    store.point(["set", "base", "numbers"], "numbers", "kept")
    return store


def launch(
    job: dg.JobDefinition, instance: dg.DagsterInstance, *, config: dict[str, Any] | None = None
) -> dg.ExecuteInProcessResult:
    """Run a job with one op, whose settings are `config`."""
    root = os.environ["WORDMASK_HOME"] + "/store"
    needs_store = job not in (register_experiment, ask_for_experiments)
    return job.execute_in_process(
        instance=instance,
        resources={"store": ArtifactStore(root=root)} if needs_store else None,
        run_config={"ops": {job.nodes[0].name: {"config": config}}} if config is not None else None,
        raise_on_error=False,
    )


def said(result: dg.ExecuteInProcessResult) -> str:
    """Why the op failed."""
    error = next(event for event in result.all_events if event.is_step_failure).step_failure_data.error
    assert error is not None
    return error.message


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The numbers and texts that the op put on its page."""
    event = next(event for event in result.all_events if event.is_successful_output)
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


# register_experiment


def test_a_registered_experiment_is_planned_with_its_knobs(home: Path, instance: dg.DagsterInstance) -> None:
    config = {"name": "blur15", "description": "More blur.", "knobs": {"mask_choices": {"sigma": 0.15}}}
    result = launch(register_experiment, instance, config=config)
    assert result.success
    assert "Reload definitions" in shown(result)["next"]
    assert read_experiments(experiment_folders(), STAGES)["blur15"].knobs["mask_choices"].model_dump()["sigma"] == 0.15
    own = {one.stage.name for one in load_plan() if one.experiment == "blur15"}
    assert own == {"mask_choices", "choice_scores", "zs_bootstrap", "predictions", "scores", "report"}


def test_registering_the_same_again_changes_nothing(home: Path, instance: dg.DagsterInstance) -> None:
    config = {"name": "blur15", "knobs": {"mask_choices": {"sigma": 0.15}}}
    assert launch(register_experiment, instance, config=config).success
    written = (home / "experiments" / "blur15.yaml").read_text()
    assert launch(register_experiment, instance, config=config).success
    assert (home / "experiments" / "blur15.yaml").read_text() == written
    (home / "experiments" / "blur").mkdir()
    (home / "experiments" / "blur15.yaml").rename(home / "experiments" / "blur" / "blur15.yaml")
    assert launch(register_experiment, instance, config=config).success
    assert not (home / "experiments" / "blur15.yaml").exists()


@pytest.mark.parametrize("hindrance", ["", "it has results", "heir extends it"])
def test_an_experiment_changes_under_its_name_while_it_has_no_results(
    home: Path, store: Store, instance: dg.DagsterInstance, hindrance: str
) -> None:
    file = home / "experiments" / "mine.yaml"
    launch(register_experiment, instance, config={"name": "mine", "knobs": {"mask_choices": {"sigma": 0.15}}})
    if "results" in hindrance:
        store.point(["toyref", "mine", "mask_choices"], "numbers", "kept")
    if "heir" in hindrance:
        file.with_stem("heir").write_text("{extends: mine, datasets: [toyref]}")
    written = file.read_text()
    again = launch(register_experiment, instance, config={"name": "mine", "knobs": {"mask_choices": {"sigma": 9}}})
    assert again.success == (not hindrance)
    if hindrance:
        assert f"exists already and is different ({hindrance})" in said(again)
    assert (file.read_text() == written) == bool(hindrance)


def test_what_the_launchpad_begins_with_can_be_launched(home: Path, instance: dg.DagsterInstance) -> None:
    assert launch(register_experiment, instance).success
    assert launch(ask_for_experiments, instance).success
    assert {one.experiment for one in load_plan() if one.stage.name == "mask_choices"} >= {"sharper", "red_ellipse"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "base"}, "exists already and is different"),
        ({"name": "my blur"}, "cannot be a name"),
        ({"name": "odd", "extends": "nobody"}, "parent does not exist"),
        ({"name": "odd", "knobs": {"mask_choices": {"sigmma": 1}}}, "sigmma"),
        ({"name": "odd", "knobs": {"mask_choice": {"sigma": 1}}}, "no stage is called mask_choice"),
        ({"name": "odd", "knobs": {"mask_choices": 5}}, "valid dictionary"),
        ({"name": "odd", "targets": ["masks"]}, "no stage is called masks"),
        ({"name": "odd", "datasets": ["nowhere"]}, "no data set is called nowhere"),
        ({"name": "odd", "extends": "red_ellipse"}, "nobody asked for red_ellipse on a data set"),
    ],
)
def test_a_wrong_experiment_is_refused_and_nothing_is_written(
    home: Path, instance: dg.DagsterInstance, config: dict[str, Any], message: str
) -> None:
    assert message in said(launch(register_experiment, instance, config=config))
    assert not list(home.glob("experiments/*"))
    assert (SHIPPED / "experiments" / "ssc" / "base.yaml").exists()


# ask_for_experiments


def test_experiments_that_are_asked_for_are_planned(home: Path, instance: dg.DagsterInstance) -> None:
    result = launch(ask_for_experiments, instance, config={"experiments": ["base", "red_ellipse"]})
    assert result.success
    assert shown(result)["new"] == "red_ellipse"
    assert "Reload definitions" in shown(result)["next"]
    own = {one.stage.name for one in load_plan() if one.experiment == "red_ellipse"}
    assert "mask_choices" in own
    assert "candidate_masks" not in own


def test_asking_for_what_nobody_knows_says_what_there_is(home: Path, instance: dg.DagsterInstance) -> None:
    result = launch(ask_for_experiments, instance, config={"experiments": ["bsae"]})
    assert "no experiment is called bsae; did you mean base" in said(result)


# collect_garbage


def test_garbage_is_only_listed_unless_asked_otherwise(store: Store, instance: dg.DagsterInstance) -> None:
    found = shown(launch(collect_garbage, instance))
    assert (found["artifacts"], found["deleted"]) == (1, False)
    assert len(store.artifacts()) == 2


def test_collected_garbage_is_gone_and_what_a_key_means_stays(store: Store, instance: dg.DagsterInstance) -> None:
    found = shown(launch(collect_garbage, instance, config={"dry_run": False}))
    assert (found["artifacts"], found["deleted"]) == (1, True)
    assert [artifact.path.name for artifact in store.artifacts()] == ["kept"]


def test_young_garbage_stays(store: Store, instance: dg.DagsterInstance) -> None:
    assert launch(collect_garbage, instance, config={"dry_run": False, "min_age_days": 3.0}).success
    assert len(store.artifacts()) == 2


def test_an_empty_home_holds_no_garbage(home: Path, instance: dg.DagsterInstance) -> None:
    assert shown(launch(collect_garbage, instance))["artifacts"] == 0


# verify_store


def test_a_sound_store_passes(store: Store, instance: dg.DagsterInstance) -> None:
    assert shown(launch(verify_store, instance)) == {"artifacts": 2, "problems": 0}


def test_a_changed_byte_is_found_and_named(store: Store, instance: dg.DagsterInstance) -> None:
    (store.resolve(["set", "base", "numbers"]).path / "note.txt").write_text("kepT")
    assert "1 problems in 2 artifacts" in (message := said(launch(verify_store, instance)))
    assert "numbers: kept: note.txt" in message


def test_a_broken_manifest_is_found(store: Store, instance: dg.DagsterInstance) -> None:
    (store.resolve(["set", "base", "numbers"]).path / "manifest.json").write_text("{")
    assert "missing or damaged" in said(launch(verify_store, instance))
