"""What Dagster is handed: assets, versions, groups, jobs, and automation that waits until a person starts it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.framework.stage import AssetPath, StageInstance
from pipelines.graph.build import build_defs
from pipelines.graph.load import load_plan
from pipelines.graph.maintenance import MAINTENANCE
from tests.pipelines.planning import below, write_files

BASE: dict[str, Any] = {"targets": ["choice_scores"], "datasets": ["set"], "knobs": {"mask_choices": {"sigma": 9.0}}}
NLTK: dict[str, Any] = {"extends": "base", "datasets": ["set"], "knobs": {"noun_phrases": {"rule": "nltk"}}}
TURNED: dict[str, Any] = {**BASE, "knobs": {"mask_choices": {"sigma": 11.0}}}
Files = Mapping[str, Mapping[str, Any]]
FILES: Files = {"base": BASE, "nltk": NLTK}


@dataclass(frozen=True)
class World:
    """Written experiments on one made-up data set, and a Dagster instance."""

    folder: Path
    instance: dg.DagsterInstance

    def write(self, files: Files) -> tuple[list[Path], list[Path]]:
        sets = write_files(self.folder / "sets", {"set": {"kind": "refer", "root": "pictures", "name": "refcoco"}})
        return [write_files(self.folder / "experiments", files)], [sets]

    def defs(self, files: Files) -> dg.Definitions:
        experiments, datasets = self.write(files)
        return build_defs(load_plan(experiments=experiments, datasets=datasets))

    def plan(self, files: Files) -> dict[AssetPath, StageInstance]:
        experiments, datasets = self.write(files)
        return {one.key: one for one in load_plan(experiments=experiments, datasets=datasets)}

    def materialized(self, *keys: AssetPath, data: str) -> None:
        """Report that assets were made, each with a data version that `data` is part of."""
        for key in keys:
            tags = {"dagster/data_version": f"{data} {'/'.join(key)}"}
            self.instance.report_runless_asset_event(dg.AssetMaterialization(list(key), tags=tags))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(tmp_path, instance)


def test_every_planned_instance_is_an_asset_with_its_recipe_as_code_version(world: World) -> None:
    planned, graph = world.plan(FILES), world.defs(FILES).resolve_asset_graph()
    pages = {("set", "gallery"), ("set", "comparison")}
    assert {tuple(key.path) for key in graph.materializable_asset_keys} == {*planned, *pages}
    for key, one in planned.items():
        node = graph.get(dg.AssetKey(list(key)))
        assert node.code_version == f"{one.stage.version}+{one.recipe}"
        assert {tuple(parent.path) for parent in node.parent_keys} == set(one.inputs.values())
        assert node.description == one.stage.description
        assert node.metadata["knobs"].value == one.knobs.model_dump(mode="json")
        assert node.metadata["gallery"].value == "/gallery/set/"
        assert ("gpu" in (node.pools or ())) == one.stage.gpu


def test_groups_are_one_per_data_set_and_experiment(world: World) -> None:
    graph = world.defs(FILES).resolve_asset_graph()
    groups = {tuple(key.path): graph.get(key).group_name for key in graph.materializable_asset_keys}
    assert groups["set", "dataset_index"] == "set__data"
    assert groups["set", "base", "mask_choices"] == "set__base"
    assert groups["set", "nltk", "mask_choices"] == "set__nltk"
    assert set(groups.values()) == {"set__data", "set__base", "set__nltk"}


def test_an_experiments_job_holds_all_it_uses_shared_assets_included(world: World) -> None:
    defs, planned = world.defs(FILES), world.plan(FILES)
    for name in ("base", "nltk"):
        job = defs.resolve_job_def(f"set__{name}")
        used = {key for key, one in planned.items() if name in one.used_by}
        assert {tuple(key.path) for key in job.asset_layer.executable_asset_keys} == used


def test_maintenance_jobs_stand_beside_the_experiments(world: World) -> None:
    names = {job.name for job in world.defs(FILES).resolve_all_job_defs()}
    assert names >= {"set__base", "set__nltk", *(job.name for job in MAINTENANCE)}


def test_the_shipped_definitions_load(home: Path) -> None:
    defs = build_defs()
    dg.Definitions.validate_loadable(defs)
    assert not home.exists()


# automation


def test_what_computes_by_itself_is_stopped_until_a_person_starts_it_and_only_looks_go_on(world: World) -> None:
    defs = world.defs(FILES)
    sensors, schedules = list(defs.sensors or []), list(defs.schedules or [])
    assert sensors
    assert schedules
    for one in sensors:
        runs = defs.resolve_sensor_def(one.name).default_status is dg.DefaultSensorStatus.RUNNING
        assert runs == (one.name == "look_at_set")
    for schedule in schedules:
        assert defs.resolve_schedule_def(schedule.name).default_status is dg.DefaultScheduleStatus.STOPPED


def requested(defs: dg.Definitions, instance: dg.DagsterInstance, cursor: Any = None) -> tuple[set[AssetPath], Any]:
    """What the sensor would launch now, and the cursor for its next look."""
    result = dg.evaluate_automation_conditions(defs, instance, asset_selection=dg.AssetSelection.all(), cursor=cursor)
    graph = defs.resolve_asset_graph().materializable_asset_keys
    return {tuple(key.path) for key in graph if result.get_num_requested(key)}, result.cursor


def test_a_turned_knob_requests_its_stage_and_what_lies_below_and_nothing_else(world: World) -> None:
    planned, defs = world.plan(FILES), world.defs(FILES)
    world.materialized(*planned, data="first")
    _, cursor = requested(defs, world.instance)
    quiet, cursor = requested(defs, world.instance, cursor)
    assert not quiet
    files: Files = {"base": TURNED, "nltk": {**NLTK, "knobs": {**NLTK["knobs"], "mask_choices": {"sigma": 9.0}}}}
    wanted, cursor = requested(world.defs(files), world.instance, cursor)
    assert wanted == below(planned, ("set", "base", "mask_choices"))
    world.materialized(*wanted, data="second")
    again, _ = requested(world.defs(files), world.instance, cursor)
    assert not again


def test_new_data_request_everything_that_is_made_from_them(world: World) -> None:
    planned, defs = world.plan(FILES), world.defs(FILES)
    world.materialized(*planned, data="first")
    _, cursor = requested(defs, world.instance)
    world.materialized(("set", "dataset_index"), data="second")
    wanted, cursor = requested(defs, world.instance, cursor)
    assert wanted == set(planned) - {("set", "dataset_index")}


def test_a_look_that_finds_the_same_data_requests_nothing(world: World) -> None:
    planned, defs = world.plan(FILES), world.defs(FILES)
    world.materialized(*planned, data="first")
    _, cursor = requested(defs, world.instance)
    world.materialized(("set", "dataset_index"), data="first")
    wanted, _ = requested(defs, world.instance, cursor)
    assert not wanted


def ticked(defs: dg.Definitions, name: str, instance: dg.DagsterInstance) -> dg.RunRequest:
    """What a schedule asks for at its next tick."""
    schedule = defs.resolve_schedule_def(name)
    repository = defs.get_repository_def()
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=datetime(2026, 1, 1, 4, tzinfo=UTC), repository_def=repository
    ) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or []
    return request


def test_the_stale_schedule_asks_for_stale_assets_only(world: World) -> None:
    request = ticked(world.defs(FILES), "run_stale", world.instance)
    assert request.stale_assets_only


def test_the_nightly_look_reads_only_the_raw_data(world: World) -> None:
    defs = world.defs(FILES)
    ticked(defs, "look_for_new_data", world.instance)
    job = defs.resolve_job_def(defs.resolve_schedule_def("look_for_new_data").job_name)
    assert {tuple(key.path) for key in job.asset_layer.executable_asset_keys} == {("set", "dataset_index")}
