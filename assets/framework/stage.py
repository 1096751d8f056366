"""What a stage is: a declaration of its name, version, knobs, inputs and body; and its instances in a plan.

A declaration stands beside its body, in the `stages.py` of its folder, and imports nothing heavy: the body is named as
`"module:function"` and resolved when the stage runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from assets.data.source import Source
from assets.framework.knobs import Knobs
from storage.digest import digest
from storage.manifest import Tally

AssetPath = tuple[str, ...]
Body = Callable[[Any], "Outcome"]
"""Takes a `Work`: reads artifacts, calls `ops`, writes tables into its slot, and returns numbers and a preview. It
names no path outside its slot and does not know Dagster."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a body found out: rows per table, numbers for the UI, and a small preview."""

    tallies: Mapping[str, Tally] = field(default_factory=dict)
    metrics: Mapping[str, float | int | str] = field(default_factory=dict)
    preview: bytes | None = None
    """PNG of at most about 30 KB."""


def nothing_more(_: Any) -> tuple[Stage, ...]:
    """A stage whose knobs do not change what it reads."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One noun of the graph. `version` rises by hand whenever the same knobs would give another result."""

    name: str
    body: str | Body
    """`"module:function"`, imported when the stage runs; or a function."""
    version: int
    knobs: type[Knobs]
    description: str
    """Shown in the UI: what the asset holds, its source in the papers, how it resumes."""
    needs: tuple[Stage, ...] = ()
    also_needs: Callable[[Any], tuple[Stage, ...]] = nothing_more
    """Settled knobs -> stages that only some of their values read."""
    raw: str | Callable[[StageInstance], str] | None = None
    """Content fingerprint of raw data that the stage reads beside its inputs; named or given as `body` is."""
    imported: str | Callable[[StageInstance], str | None] | None = None
    """The same of what a person imported; None where the stage's knobs ask for no import. Cheap, unlike `raw`."""
    gpu: bool = False
    trains: bool = False
    """Its body may run in several processes that share every batch."""
    kinds: frozenset[str] = frozenset({"parquet"})

    def inputs_under(self, knobs: Knobs) -> tuple[Stage, ...]:
        """What the stage reads under settled knobs."""
        return (*self.needs, *self.also_needs(knobs))


def resolved(function: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that `"module:function"` names."""
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def group_name(dataset: str, experiment: str) -> str:
    """The group of an experiment's own assets in the UI, and the name of its job."""
    return f"{dataset}__{experiment}"


@dataclass(frozen=True, kw_only=True)
class StageInstance:
    """A stage planned for one data set with settled knobs; equal recipes are one asset."""

    key: AssetPath
    stage: Stage
    dataset: str
    experiment: str
    """Owner of the asset; "data" for stages without inputs, which belong to none."""
    source: Source
    knobs: Knobs
    models: Mapping[str, str]
    """Registry name -> identity of the weights."""
    inputs: Mapping[str, AssetPath]
    """Stage name -> key of the asset that is read as it."""
    planned_inputs: Mapping[str, str]
    """Stage name -> recipe that the input must have been made by."""
    own_recipe: str
    recipe: str
    changed: Mapping[str, object]
    """Knobs that differ from the experiment this one extends."""
    used_by: tuple[str, ...]

    @property
    def code_version(self) -> str:
        """Changes for this stage and for all below it when a knob changes, and for nothing else."""
        return f"{self.stage.version}+{self.recipe}"

    @property
    def is_training(self) -> bool:
        """Whether it fits weights, which takes hours where other stages take minutes."""
        return "epochs" in type(self.knobs).model_fields

    @property
    def watches_raw_data(self) -> bool:
        """Whether it reads data that a person may change; embedded worlds are drawn."""
        return self.stage.raw is not None and self.source.config.kind != "toyref"


def raw_of(instance: StageInstance) -> str | None:
    """The fingerprint of what a stage reads beside its inputs, raw data or an import; None where it reads neither."""
    reader = instance.stage.raw or instance.stage.imported
    found: str | None = resolved(reader)(instance) if reader else None
    return found


def own_recipe(stage: Stage, knobs: Knobs, models: Mapping[str, str]) -> str:
    """Digest of what the stage itself brings: name, version, knobs, weights. Rows are reused under equal ones."""
    return digest({"stage": stage.name, "version": stage.version, "knobs": knobs.recipe(), "models": dict(models)})


def related_recipes(instance: StageInstance) -> tuple[str, ...]:
    """Own recipes of artifacts whose rows may be copied: the instance's own first."""
    others = (own_recipe(instance.stage, knobs, instance.models) for knobs in instance.knobs.relatives())
    return (instance.own_recipe, *others)


def fingerprint(instance: StageInstance, inputs: Mapping[str, str], *, raw: str | None = None) -> str:
    """Digest of the stage's own recipe and the fingerprints of the artifacts (or raw data) it reads."""
    division = {"splits": list(instance.source.splits), **instance.source.unusual}
    return digest({"own": instance.own_recipe, "inputs": dict(inputs), "raw": raw, **division})
