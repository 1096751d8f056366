"""What is stored of a plan: which artifacts are ready, stale or missing. Without Dagster."""

from collections.abc import Sequence
from typing import Literal

from assets.framework.stage import AssetPath, StageInstance
from resources.store import open_store
from storage.artifact import Artifact, Store, StoreError

State = Literal["ready", "stale", "missing"]


def state_of(instance: StageInstance, store: Store) -> State:
    """`ready` (made by the planned recipe from its inputs as they are now), `stale` (it was not) or `missing`."""
    artifact = stored(instance.key, store)
    if artifact is None:
        return "missing"
    inputs = {name: _fingerprint(key, store) for name, key in instance.inputs.items()}
    return "ready" if artifact.planned == instance.recipe and inputs == artifact.manifest.inputs else "stale"


def ready(instances: Sequence[StageInstance]) -> dict[str, Artifact]:
    """Stage name -> artifact, of the instances that are up to date."""
    store = open_store()
    return {
        instance.stage.name: store.resolve(instance.key)
        for instance in instances
        if state_of(instance, store) == "ready"
    }


def stored(key: AssetPath, store: Store) -> Artifact | None:
    """The artifact that a key means now, if there is one."""
    try:
        return store.resolve(key)
    except StoreError:
        return None


def _fingerprint(key: AssetPath, store: Store) -> str | None:
    artifact = stored(key, store)
    return artifact.manifest.fingerprint if artifact else None
