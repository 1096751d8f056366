"""What is stored of a plan: which artifacts are ready, stale or missing, and why. Without Dagster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from assets.framework.stage import AssetPath, StageInstance, fingerprint, raw_of
from ops.refusal import Refused
from resources.datasets.raw_state import RawDataGone, current_fingerprint, memory_of
from resources.store import open_store
from storage.artifact import Artifact, Store, StoreError

State = Literal["ready", "stale", "missing"]
CHANGED = "raw data changed"
GONE = "raw data is gone"
UNREADABLE = "raw data cannot be read"
IMPORTED_ANEW = "made from earlier inputs, or an earlier import or review"


@dataclass(frozen=True, kw_only=True)
class StageState:
    """Whether a stage's artifact is what a run would make now."""

    state: State
    reason: str = ""
    """Why it is stale; empty otherwise."""
    of_raw_data: bool = False
    """Whether the raw data are why."""
    artifact: Artifact | None = None
    """What its key means now, if anything."""

    def __str__(self) -> str:
        """The state, and why."""
        return f"{self.state}: {self.reason}" if self.reason else self.state


def states_of(instances: Sequence[StageInstance], store: Store) -> dict[AssetPath, StageState]:
    """The state of every instance, by its key.

    `ready` is what was made by the planned recipe, from inputs that are ready, the raw data as they lie on disk now
    among them. An artifact that was made otherwise is `stale`.

    Args:
        instances: inputs before their readers, and all of them.
        store: where artifacts lie.
    """
    states: dict[AssetPath, StageState] = {}
    for instance in instances:
        artifact = stored(instance.key, store)
        state = StageState(state="missing") if artifact is None else _judged(instance, artifact, states)
        states[instance.key] = replace(state, artifact=artifact)
    return states


def ready(instances: Sequence[StageInstance]) -> dict[str, Artifact]:
    """Stage name -> artifact, of the instances that are up to date; `instances` as for `states_of`."""
    return among(states_of(instances, open_store()), instances)


def among(states: Mapping[AssetPath, StageState], instances: Sequence[StageInstance]) -> dict[str, Artifact]:
    """Stage name -> artifact, of the instances that these states call ready."""
    return {
        instance.stage.name: state.artifact
        for instance in instances
        if (state := states[instance.key]).state == "ready" and state.artifact is not None
    }


def raw_data_problem(instances: Sequence[StageInstance]) -> str:
    """A sentence for a refusal where finished stages do not count because of the raw data; empty elsewhere."""
    states = states_of(instances, open_store())
    stale = next((instance for instance in instances if states[instance.key].of_raw_data), None)
    if stale is None:
        return ""
    reason, drawn = states[stale.key].reason, stale.source.toy is not None
    place = f"put them back, or set root in {stale.dataset}.yaml to where they lie"
    advice = place if reason == GONE and not drawn else "a run reads them anew"
    return f"{reason} since the stages of {stale.dataset} were made: {advice}. "


def stored(key: AssetPath, store: Store) -> Artifact | None:
    """The artifact that a key means now, if there is one."""
    try:
        return store.resolve(key)
    except StoreError:
        return None


def _judged(instance: StageInstance, artifact: Artifact, states: Mapping[AssetPath, StageState]) -> StageState:
    """`ready` or `stale`, given the states of the inputs; what the raw data made stale passes its reason on."""
    if artifact.planned != instance.recipe:
        return StageState(state="stale", reason="made with other settings")
    inputs = {name: states[key] for name, key in instance.inputs.items()}
    for name, state in inputs.items():
        if state.of_raw_data:
            return state
        if state.state != "ready":
            return StageState(state="stale", reason=f"{name} is {state.state}")
    raw, problem = raw_data_now(instance)
    if problem:
        return StageState(state="stale", reason=problem, of_raw_data=instance.stage.raw is not None)
    read = {name: state.artifact.manifest.fingerprint for name, state in inputs.items() if state.artifact}
    if fingerprint(instance, read, raw=raw) == artifact.manifest.fingerprint:
        return StageState(state="ready")
    if raw is not None:
        data = instance.stage.raw is not None
        return StageState(state="stale", reason=CHANGED if data else IMPORTED_ANEW, of_raw_data=data)
    return StageState(state="stale", reason="made from earlier inputs")


def raw_data_now(instance: StageInstance) -> tuple[str | None, str]:
    """The fingerprint of the raw data or imports on disk, of a stage that reads them, and why there is none."""
    try:
        if instance.stage.raw is None:
            return raw_of(instance), ""
        return current_fingerprint(instance.source.config, memory_of(instance.dataset)), ""
    except RawDataGone:
        return None, GONE
    except (Refused, OSError) as problem:
        return None, f"{UNREADABLE}: {problem}" if instance.stage.raw else str(problem)
