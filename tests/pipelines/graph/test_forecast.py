"""What a run would do, told before: the same stages, units and bytes as the run then computes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assets.framework.asset_factory import run_stage
from assets.framework.stage import StageInstance, fingerprint
from pipelines.commands.plan import plan_table
from pipelines.commands.terminal import Terminal
from pipelines.config.dataset_files import read_both
from pipelines.graph.forecast import Forecast, forecasts
from pipelines.graph.load import identify, possible
from resources.runtime import Runtime
from storage.artifact import Store, Tally
from tests.homes import TRY, copy_home
from tests.pipelines.planning import planned

RULES = {
    rule: f"{{extends: base, datasets: [little], targets: [mask_choices], knobs: {{mask_choices: {{rule: {rule}}}}}}}"
    for rule in ("first", "random")
}
"""Their names come before `try`, so that they own what all three share."""
Instances = dict[tuple[str, ...], StageInstance]


@pytest.fixture
def little(chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which S1 and S2 are finished, with two experiments of another rule that are not."""
    home = copy_home(chosen, tmp_path, experiments={"try": TRY, **RULES})
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    monkeypatch.setattr("pipelines.graph.load.identify", identify)
    return home


def told(experiment: str, store: Store) -> dict[str, Forecast]:
    wanted = [(read_both()[0].named(experiment), "mask_choices")]
    found = forecasts(possible("little", wanted), store)
    return {one.instance.stage.name: one for one in found}


def test_a_run_does_what_its_plan_says(little: Path) -> None:
    store = Store(little / "store")
    assert {one.fate for one in told("try", store).values()} <= {"ready", "found"}
    for rule, timed in (("first", False), ("random", True)):
        before = told(rule, store)
        choice = before.pop("mask_choices")
        assert {one.fate for one in before.values()} <= {"ready", "found"}
        assert choice.fate == "compute"
        assert (choice.seconds is not None) is timed, "CLIP's speed says nothing of a rule without it"
        for one in (*before.values(), choice):
            artifact = run_stage(one.instance, store, Runtime(threads=1), lambda _: None)
        (tally,) = artifact.manifest.rows.values()
        assert choice.units == tally.computed
        assert {one.fate for one in told(rule, store).values()} == {"ready"}
    out = Terminal()
    out.width = 200
    with out.capture() as capture:
        out.print(plan_table("little", "first", until="mask_choices"))
        out.print(plan_table("little", "try", until="mask_choices", settings=["mask_choices.sigma=0.04"]))
        out.print(plan_table("little", "base", suite="ssc_table3"))
    assert "nothing is left to compute" in capture.get()
    assert "little/try_sigma_0p04/mask_choices" in capture.get()
    assert re.search(r"\d+ of \d+ stages are computed", capture.get())
    assert not list((little / "experiments").glob("*0p04*")), "a plan writes nothing"


@pytest.fixture
def instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instances:
    monkeypatch.setattr("pipelines.graph.state.current_fingerprint", lambda *_: "raw")
    return planned(tmp_path / "files", {"base": {"targets": ["zs_bootstrap"]}})


def commit(
    store: Store, instance: StageInstance, mark: str, *, units: int, seconds: float | None, **changes: Any
) -> None:
    """What a run leaves; `changes` of knobs, `dataset` that it was of, and whether its own recipe is the same."""
    own = changes.pop("own", instance.own_recipe)
    extra = {
        "key": [changes.pop("dataset", "set"), "base", instance.stage.name],
        "models": dict(changes.pop("models", instance.models)),
        "machine": {"device": "cpu"},
        **({} if seconds is None else {"seconds": seconds}),
    }
    recipe = {"own": own, "knobs": {**instance.knobs.model_dump(mode="json"), **changes}}
    with store.claim(instance.stage.name, mark, recipe=recipe) as slot:
        (slot.content / "masks.ledger.parquet").write_bytes(b"x" * 1000 * units)
        slot.commit(rows={"masks": Tally.computed_anew(units)}, extra=extra)


def of(name: str, instances: Instances, store: Store) -> Forecast:
    return next(one for one in forecasts([*instances.values()], store) if one.instance.stage.name == name)


CASES: Mapping[str, tuple[str, dict[str, Any], tuple[int | None, int, float | None, float | None]]] = {
    "never run": ("candidate_masks", {}, (None, 0, None, None)),
    "the same settings": ("candidate_masks", {"units": 10, "seconds": 5.0}, (10, 10, 5.0, 0.01)),
    "other settings": ("candidate_masks", {"units": 10, "seconds": 5.0, "own": "?"}, (10, 0, 5.0, 0.01)),
    "other networks": ("candidate_masks", {"units": 9, "seconds": 5.0, "own": "?", "models": {}}, (9, 0, None, 0.009)),
    "not timed": ("candidate_masks", {"units": 10, "seconds": None}, (10, 10, None, 0.01)),
    "another data set": (
        "candidate_masks", {"units": 10, "seconds": 5.0, "dataset": "other"}, (40, 0, 20.0, 0.04)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_stage_is_judged_by_its_past_runs(case: str, instances: Instances, home: Path) -> None:
    store, (name, past, want) = Store(home / "store"), CASES[case]
    for dataset, expressions in (("set", 400), ("other", 100)):
        commit(store, instances["set", "base", "references"], dataset, units=expressions, seconds=1, dataset=dataset)
    if past:
        commit(store, instances["set", "base", name], "earlier", **past)
    found = of(name, instances, store)
    assert (found.units, found.copied) == want[:2]
    assert (found.seconds, found.megabytes) == pytest.approx(want[2:])


def test_a_longer_training_takes_longer_and_its_model_is_as_large(instances: Instances, home: Path) -> None:
    instance, store = instances["set", "base", "zs_bootstrap"], Store(home / "store")
    knobs = instance.knobs.model_dump()
    epochs, batch = knobs["epochs"], knobs["batch_size"]
    commit(store, instance, "earlier", units=60, seconds=5.0, own="?", epochs=1, batch_size=2 * batch)
    found = of("zs_bootstrap", instances, store)
    assert found.units == 60 * epochs * 2
    assert (found.seconds, found.megabytes) == pytest.approx((5.0 * epochs, 0.06))


def test_what_lies_in_the_store_is_found_below_what_is_gone(instances: Instances, home: Path) -> None:
    store, marks = Store(home / "store"), dict[tuple[str, ...], str]()
    for key, instance in instances.items():
        inputs = {name: marks[read] for name, read in instance.inputs.items()}
        marks[key] = fingerprint(instance, inputs, raw="raw" if instance.stage.raw else None)
    for key in (("set", "dataset_index"), ("set", "base", "noun_phrases")):
        commit(store, instances[key], marks[key], units=1, seconds=1)
    store.point(("set", "dataset_index"), "dataset_index", marks["set", "dataset_index"], planned="other settings")
    fates = {one.instance.stage.name: one.fate for one in forecasts([*instances.values()], store)}
    assert fates["dataset_index"] == fates["noun_phrases"] == "found"
    assert fates["references"] == fates["candidate_masks"] == "compute"
    index = instances["set", "dataset_index"]
    store.point(index.key, "dataset_index", marks[index.key], planned=index.recipe)
    assert of("dataset_index", instances, store).fate == "ready"
