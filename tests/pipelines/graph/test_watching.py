"""What the sensor of a folder says and launches, look by look."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from assets.framework.asset_factory import run_stage
from assets.framework.stage import AssetPath, StageInstance
from pipelines.config.dataset_files import ask_for, write_dataset
from pipelines.graph.build import build_defs
from pipelines.graph.load import planned, read_plan
from resources.runtime import Runtime
from storage.artifact import Store

TRAINED = ("mine", "base", "zs_bootstrap")
BELOW = {("mine", "base", name) for name in ("zs_bootstrap", "predictions", "scores", "report")}


@dataclass
class Watch:
    """The data set `mine` below a home, and the looks at it."""

    folder: Path
    home: Path
    instance: dg.DagsterInstance
    instances: list[StageInstance]
    defs: dg.Definitions
    cursor: str | None = None
    told: list[dg.AssetCheckEvaluation] = field(default_factory=list)

    def switch(self, value: str) -> None:
        with (self.home / "datasets" / "mine.yaml").open("a") as file:
            file.write(f"watch: {value}\n")

    def look(self) -> tuple[list[dg.RunRequest], str]:
        """Run requests and the reason for none, of the sensor as Dagster evaluates it."""
        sensor = self.defs.resolve_sensor_def("look_at_mine")
        with dg.build_sensor_context(self.instance, cursor=self.cursor, definitions=self.defs) as context:
            tick = sensor.evaluate_tick(context)
        self.cursor = tick.cursor
        self.told += [one for one in tick.asset_events if isinstance(one, dg.AssetCheckEvaluation)]
        return list(tick.run_requests or []), tick.skip_message or ""

    def drop(self, name: str) -> None:
        """A new picture with its sentence."""
        Image.new("RGB", (40, 30), "green").save(self.folder / name)
        with (self.folder / "expressions.csv").open("a") as file:
            file.write(f"{name},the green one\n")

    def read(self) -> None:
        """Make `dataset_index`."""
        run_stage(self.instances[0], Store(self.home / "store"), Runtime(threads=1), lambda _: None)


@pytest.fixture
def watch(home: Path, pictures: Callable[[Sequence[str]], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setattr("resources.datasets.raw_state.AT_REST_SECONDS", 0.0)
    folder = pictures(["image,expression", "a.png,the red one", "b.png,the blue one"])
    write_dataset("mine", folder=folder, manifest=None, experiment="base")
    with dg.DagsterInstance.ephemeral() as instance:
        instances = planned("mine", "base")
        watch = Watch(folder, home, instance, instances, build_defs(instances))
        watch.read()
        yield watch


def wanted(requests: Sequence[dg.RunRequest]) -> set[AssetPath]:
    (request,) = requests
    return {tuple(key.path) for key in request.asset_selection or ()}


def trained(home: Path) -> None:
    """Leave a training as if it had been made."""
    store = Store(home / "store")
    with store.claim("zs_bootstrap", "mark", recipe={}) as slot:
        slot.commit(inputs={})
        store.point(TRAINED, "zs_bootstrap", "mark", planned="recipe")


def test_new_files_launch_one_run_of_all_that_needs_no_first_training_once_they_are_at_rest(watch: Watch) -> None:
    watch.switch("true")
    assert watch.look() == ([], "the files are as they were when they were read")
    watch.drop("c.png")
    requests, reason = watch.look()
    assert not requests
    assert reason.startswith("raw data changed since mine/dataset_index was made: files may still be being written")
    watch.drop("d.png")
    requests, reason = watch.look()
    assert not requests
    assert "may still be being written" in reason
    requests, _ = watch.look()
    assert wanted(requests) == {one.key for one in watch.instances} - BELOW
    requests, reason = watch.look()
    assert not requests
    assert "a run was launched for them already" in reason


@pytest.mark.parametrize(("value", "made_before"), [("true", True), ("train", False)])
def test_trainings_are_launched_that_were_made_before_or_that_the_file_allows(
    watch: Watch, value: str, made_before: bool
) -> None:
    if made_before:
        trained(watch.home)
    watch.switch(value)
    watch.drop("c.png")
    watch.look()
    assert wanted(watch.look()[0]) == {one.key for one in watch.instances}


def test_a_switch_that_is_off_says_that_the_raw_data_changed_and_launches_nothing(watch: Watch) -> None:
    watch.drop("c.png")
    for _ in range(3):
        requests, reason = watch.look()
        assert not requests
        assert reason.startswith("raw data changed")
        assert "`wordmask run -d mine -e base`" in reason
    (told,) = watch.told
    assert (told.asset_key.path, told.check_name, told.passed) == (["mine", "dataset_index"], "raw_data", False)
    watch.read()
    assert watch.look()[1].startswith("the files are as they were")
    assert [one.passed for one in watch.told] == [False, True]


def test_files_that_come_back_are_a_launch_of_their_own(watch: Watch) -> None:
    watch.switch("true")
    keys = []
    for _ in range(2):
        watch.look()
        watch.drop("c.png")
        watch.look()
        (request,), _ = watch.look()
        keys.append(request.run_key)
        shutil.copy2(watch.folder / "a.png", watch.folder / "c.png")  # so that reading finds something
        watch.read()
    assert len(set(keys)) == 2


def test_nothing_is_launched_while_a_run_of_the_sensor_goes_on(watch: Watch) -> None:
    watch.switch("true")
    job = watch.defs.resolve_job_def("mine__base")
    run = watch.instance.create_run_for_job(
        job, tags={"dagster/sensor_name": "look_at_mine"}, status=dg.DagsterRunStatus.STARTED
    )
    watch.drop("c.png")
    watch.look()
    assert watch.look() == (
        [],
        "raw data changed since mine/dataset_index was made: "
        "a run that was launched earlier goes on; the next begins after it",
    )
    watch.instance.report_run_canceled(run)
    assert watch.look()[0]


def gone(watch: Watch) -> None:
    watch.folder.rename(watch.folder.with_name("other"))


def broken_file(watch: Watch) -> None:
    watch.switch("perhaps")
    watch.drop("c.png")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(gone, "raw data is gone: .* is not there; put them back, or set root in mine.yaml"), (broken_file, "mine.yaml")],
)
def test_what_is_broken_is_one_clear_reason(watch: Watch, fault: Callable[[Watch], None], reason: str) -> None:
    fault(watch)
    requests, told = watch.look()
    assert not requests
    assert re.search(reason, told)


def test_a_model_that_is_not_there_is_named(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.graph.load.identify", lambda _: "missing")
    watch.defs = build_defs(planned("mine", "base"))
    watch.switch("true")
    watch.drop("c.png")
    watch.look()
    requests, reason = watch.look()
    assert not requests
    assert "`wordmask models get`" in reason


def test_automation_is_for_what_was_asked_for_and_not_for_what_ships(watch: Watch) -> None:
    assert {one.dataset for one in read_plan().automated} == {"mine"}
    ask_for("toyref", ["red_ellipse"])
    defs = build_defs()
    asked = {one.key for one in read_plan().automated}
    assert asked == {one.key for one in [*planned("mine", "base"), *planned("toyref", "red_ellipse")]}
    follows = defs.resolve_sensor_def("follow_changes").asset_selection
    assert follows is not None
    assert {tuple(key.path) for key in follows.resolve(defs.resolve_asset_graph())} == asked
    assert {one.name for one in defs.sensors or ()} == {"follow_changes", "look_at_mine"}
