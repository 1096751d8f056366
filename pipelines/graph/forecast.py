"""What a run would do: which stages are ready or lie in the store, and what the others would compute. Without Dagster.

A fingerprint is a digest of settings and of what is read, so that those of all stages are known before anything runs;
how long a stage takes is judged by the manifests of its past runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assets.data.stages import REFERENCES
from assets.framework.stage import AssetPath, StageInstance, fingerprint, related_recipes
from pipelines.graph.state import raw_data_now, stored
from storage.artifact import Artifact, Store, StoreError
from storage.manifest import Manifest

Fate = Literal["ready", "found", "compute"]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What becomes of a stage; None is unknown."""

    instance: StageInstance
    fate: Fate
    """`found`: an equal artifact lies in the store, so that nothing is computed."""
    units: int | None = 0
    """Units to compute, of all tables; of a training, optimizer steps."""
    copied: int = 0
    """Of them, those that an earlier artifact of the same settings may save."""
    seconds: float | None = 0.0
    """Without what may be saved."""
    megabytes: float | None = 0.0
    """Of the artifact."""
    judged_by: str = ""
    """Data set and machine of the run whose speed is taken."""


@dataclass(frozen=True)
class Past:
    """A past run of a stage, as its manifest tells."""

    manifest: Manifest

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str((self.manifest.extra.get("key") or ("",))[0])

    @property
    def units(self) -> int:
        """Of all tables, however they came about."""
        return sum(tally.reused + tally.computed + tally.quarantined for tally in self.manifest.rows.values())

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(entry.size for entry in self.manifest.checksums.values())

    @property
    def copies(self) -> bool:
        """Whether the stage copies rows of equal units; tables without a ledger are computed as a whole."""
        return any(name.endswith(".ledger.parquet") for name in self.manifest.checksums)

    @property
    def unit_seconds(self) -> float | None:
        """Seconds that a computed unit took, loading of models included."""
        seconds = self.manifest.extra.get("seconds")
        computed = sum(tally.computed for tally in self.manifest.rows.values())
        return seconds / computed if isinstance(seconds, int | float) and computed else None

    @property
    def machine(self) -> str:
        """What it ran on."""
        machine = self.manifest.extra.get("machine") or {}
        return str(machine.get("gpu") or machine.get("device") or machine.get("processor") or "an unknown machine")

    @property
    def knobs(self) -> Mapping[str, Any]:
        """Knobs of the stage."""
        knobs: Mapping[str, Any] = self.manifest.recipe.get("knobs") or {}
        return knobs

    def of_networks_like(self, instance: StageInstance) -> bool:
        """Whether it ran the same networks, whatever their weights: others have another speed."""
        size = instance.knobs.model_dump(mode="json").get("size")
        return set(self.manifest.extra.get("models") or ()) == set(instance.models) and self.knobs.get("size") == size


def forecasts(instances: Sequence[StageInstance], store: Store) -> list[Forecast]:
    """What would become of each instance; inputs come before their readers, and all of them are there."""
    marks: dict[AssetPath, str | None] = {}
    history = History(store)
    found = []
    for instance in instances:
        mark = marks[instance.key] = _mark(instance, marks)
        fate = _fate(instance, mark, store)
        found.append(history.forecast(instance) if fate == "compute" else Forecast(instance=instance, fate=fate))
    return found


def _mark(instance: StageInstance, marks: Mapping[AssetPath, str | None]) -> str | None:
    """The fingerprint that the artifact will have; None where the raw data that it depends on cannot be read."""
    raw, problem = raw_data_now(instance)
    inputs = {name: mark for name, key in instance.inputs.items() if (mark := marks[key]) is not None}
    return None if problem or len(inputs) < len(instance.inputs) else fingerprint(instance, inputs, raw=raw)


def _fate(instance: StageInstance, mark: str | None, store: Store) -> Fate:
    if mark is None or not store.holds(instance.stage.name, mark):
        return "compute"
    artifact = stored(instance.key, store)
    meant = artifact is not None and artifact.planned == instance.recipe and artifact.manifest.fingerprint == mark
    return "ready" if meant else "found"


class History:
    """The past runs in a store, by stage and newest first."""

    def __init__(self, store: Store) -> None:
        self._by_stage: dict[str, list[Past]] = {}
        for artifact in store.artifacts():
            if (manifest := _sound(artifact)) is not None:
                self._by_stage.setdefault(manifest.stage, []).append(Past(manifest))
        for runs in self._by_stage.values():
            runs.sort(key=lambda past: past.manifest.created, reverse=True)

    def forecast(self, instance: StageInstance) -> Forecast:
        """How much a stage computes, judged by runs of the same settings before others, and newer before older."""
        runs = self._by_stage.get(instance.stage.name, [])
        runs = sorted(runs, key=lambda past: past.manifest.recipe.get("own") != instance.own_recipe)  # stable
        units, like = self._units(instance, runs)
        if units is None or like is None:
            return Forecast(instance=instance, fate="compute", units=None, seconds=None, megabytes=None)
        timed = next((past for past in runs if past.unit_seconds is not None and past.of_networks_like(instance)), None)
        size = like.bytes if instance.stage.trains else like.bytes * units / max(like.units, 1)
        return Forecast(
            instance=instance,
            fate="compute",
            units=units,
            copied=self._copied(instance, runs, units),
            seconds=_seconds(instance, units, timed),
            megabytes=size / 1e6,
            judged_by=f"{timed.dataset}, {timed.machine}" if timed else "",
        )

    def _units(self, instance: StageInstance, runs: Sequence[Past]) -> tuple[int | None, Past | None]:
        """Units of the stage, and the run that tells; of another data set's, scaled by the number of expressions."""
        here = next((past for past in runs if past.dataset == instance.dataset), None)
        if here is not None:
            return round(here.units * _steps_ratio(instance, here)), here
        mine = self._expressions(instance.dataset)
        for past in runs:
            if mine and (theirs := self._expressions(past.dataset)):
                return round(past.units * mine / theirs * _steps_ratio(instance, past)), past
        return None, None

    def _expressions(self, dataset: str) -> int:
        """Expressions of a data set that was read once; 0 where it was not."""
        runs = self._by_stage.get(REFERENCES.name, [])
        return next((past.units for past in runs if past.dataset == dataset), 0)

    def _copied(self, instance: StageInstance, runs: Iterable[Past], units: int) -> int:
        own = (past for past in runs if past.manifest.recipe.get("own") in related_recipes(instance) and past.copies)
        return next((min(units, past.units) for past in own if past.dataset == instance.dataset), 0)


def _steps_ratio(instance: StageInstance, past: Past) -> float:
    """Optimizer steps that a training makes for one of a past run, by its epochs and the size of its batches."""
    if not instance.stage.trains:
        return 1.0
    knobs = instance.knobs.model_dump(mode="json")
    return _ratio(knobs, past.knobs, "epochs") / _ratio(knobs, past.knobs, "batch_size")


def _seconds(instance: StageInstance, units: int, timed: Past | None) -> float | None:
    """By the speed of a past run; a step of a larger batch takes longer."""
    if timed is None or timed.unit_seconds is None:
        return None
    batch = _ratio(instance.knobs.model_dump(mode="json"), timed.knobs, "batch_size") if instance.stage.trains else 1.0
    return units * timed.unit_seconds * batch


def _ratio(knobs: Mapping[str, Any], others: Mapping[str, Any], name: str) -> float:
    one, other = knobs.get(name), others.get(name)
    return one / other if isinstance(one, int) and isinstance(other, int) and other else 1.0


def _sound(artifact: Artifact) -> Manifest | None:
    try:
        return artifact.manifest
    except StoreError:  # a run tells of it
        return None
