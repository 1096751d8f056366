"""Which artifacts are up to date."""

from pathlib import Path

from assets.framework.stage import StageInstance
from pipelines.graph.state import ready, state_of, stored
from storage.artifact import Store
from tests.pipelines.planning import planned


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


def test_only_what_is_up_to_date_is_ready(home: Path, tmp_path: Path) -> None:
    instances = planned(tmp_path / "files", {"base": {"targets": ["references"]}})
    index, references = instances["set", "dataset_index"], instances["set", "base", "references"]
    store = Store(home / "store")
    commit(store, index, "data", planned=index.recipe, inputs={})
    commit(store, references, "two", planned="other knobs", inputs={"dataset_index": "data"})
    assert {name: artifact.path.name for name, artifact in ready(list(instances.values())).items()} == {
        "dataset_index": "data"
    }
    old = stored(references.key, store)
    assert old is not None
    assert old.path.name == "two"
    assert stored(("set", "base", "nothing"), store) is None
