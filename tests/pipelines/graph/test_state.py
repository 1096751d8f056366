"""Which artifacts are up to date; how the raw data count is in tests/cases/test_stale_status.py."""

from pathlib import Path

import pytest

from assets.framework.stage import StageInstance, fingerprint
from pipelines.graph.state import ready, states_of, stored
from storage.artifact import Store
from tests.pipelines.planning import planned

Instances = dict[tuple[str, ...], StageInstance]
NAMES = ("dataset_index", "references", "noun_phrases")


@pytest.fixture
def instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instances:
    """Three stages in a row, each reading those before it; the raw data stay as they are."""
    monkeypatch.setattr("pipelines.graph.state.current_fingerprint", lambda *_: "raw")
    return planned(tmp_path / "files", {"base": {"targets": ["noun_phrases"]}})


def commit(store: Store, instance: StageInstance, *, planned: str | None = None, raw: str | None = None) -> None:
    """What a run would leave now; `planned` and `raw` as they were then."""
    read = {name: store.resolve(key).manifest.fingerprint for name, key in instance.inputs.items()}
    mark = fingerprint(instance, read, raw=raw or ("raw" if instance.stage.raw else None))
    with store.claim(instance.stage.name, mark, recipe={"own": "own"}) as slot:
        if not slot.complete:
            slot.commit(inputs=read)
        store.point(instance.key, instance.stage.name, mark, planned=planned or instance.recipe)


def told(instances: Instances, store: Store) -> dict[str, str]:
    states = states_of(list(instances.values()), store)
    return {instance.stage.name: str(states[key]) for key, instance in instances.items()}


def test_a_stage_is_missing_then_ready_then_stale(instances: Instances, home: Path) -> None:
    store = Store(home / "store")
    assert set(told(instances, store).values()) == {"missing"}
    for instance in instances.values():
        commit(store, instance)
    assert set(told(instances, store).values()) == {"ready"}
    commit(store, instances["set", "base", "references"], planned="other knobs")
    assert told(instances, store) == {
        "dataset_index": "ready",
        "references": "stale: made with other settings",
        "noun_phrases": "stale: references is stale",
    }


def test_what_is_above_a_stage_made_anew_is_stale_to_the_end(instances: Instances, home: Path) -> None:
    store = Store(home / "store")
    index, references, _ = instances.values()
    commit(store, index, raw="earlier")
    for instance in list(instances.values())[1:]:
        commit(store, instance)
    assert set(told(instances, store).values()) == {"stale: raw data changed"}
    commit(store, index)
    assert told(instances, store)["references"] == "stale: made from earlier inputs"
    assert told(instances, store)["noun_phrases"] == "stale: references is stale"
    commit(store, references)
    assert told(instances, store)["noun_phrases"] == "stale: made from earlier inputs"


def test_only_what_is_up_to_date_is_ready(instances: Instances, home: Path) -> None:
    store = Store(home / "store")
    index, references, _ = instances.values()
    commit(store, index)
    commit(store, references, planned="other knobs")
    assert ready(list(instances.values())).keys() == {"dataset_index"}
    assert stored(references.key, store) is not None
    assert stored(("set", "base", "nothing"), store) is None
