"""What a stage is: its name, version, knobs, inputs and body; and what a body is handed while it runs.

A body is a function `Work -> Outcome`. It reads artifacts, calls `ops`, writes tables into its slot, and returns
numbers and a picture. It never names a path outside its slot and never touches Dagster.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from assets.knobs_old import Knobs
from resources.datasets import Dataset, DatasetConfig, ImageChangedError, open_dataset
from resources.runtime import Runtime
from storage.artifact import Artifact, Slot, StoreError
from storage.digest import digest
from storage.rows import Tally

AssetPath = tuple[str, ...]
K = TypeVar("K", bound=Knobs)
HOPELESS = (ValueError, FileNotFoundError, FloatingPointError, StoreError, ImageChangedError)
"""What a body raises when a person has to act; trying again would end the same."""


class ToyWorld(BaseModel):
    """Which embedded world."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    style: Literal["toyref", "toyref+", "toyrefg"] = "toyref"
    size: Literal["tiny", "small", "base"] = "small"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set as the pipeline sees it: where it lies, which splits train and which are scored."""

    config: DatasetConfig
    train: tuple[str, ...]
    evaluate: tuple[str, ...]
    toy: ToyWorld | None = None
    """An embedded world, drawn on first use; None for data on disk."""

    @property
    def seed(self) -> int:
        """Of the embedded world; trainings add it to theirs, so that another world is another training, too."""
        return self.toy.seed if self.toy else 0

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Every split that some stage looks at, training first."""
        return tuple(dict.fromkeys((*self.train, *self.evaluate)))

    @property
    def unusual(self) -> dict[str, list[str]]:
        """Both kinds of splits where the first one alone does not train, or is scored too; `splits` does not tell."""
        if (self.train, self.evaluate) == (self.splits[:1], self.splits[1:]):
            return {}
        return {"train": list(self.train), "evaluate": list(self.evaluate)}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a body found out: rows per table, numbers for the UI, and a small picture."""

    tallies: Mapping[str, Tally] = field(default_factory=dict)
    metrics: Mapping[str, float | int | str] = field(default_factory=dict)
    preview: bytes | None = None
    """PNG of at most about 30 KB."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One noun of the graph. `version` rises by hand whenever the same knobs would give another result."""

    name: str
    version: int
    run: Callable[["Work"], Outcome]
    knobs: type[Knobs]
    needs: tuple[str, ...] = ()
    raw: Callable[["StageInstance"], str] | None = None
    """Content fingerprint of raw data that the stage reads beside its inputs."""
    gpu: bool = False
    trains: bool = False
    """Its body may run in several processes that share every batch."""
    kinds: frozenset[str] = frozenset({"parquet"})

    @property
    def description(self) -> str:
        """The body's docstring, shown in the UI."""
        return self.run.__doc__ or self.name


@dataclass(frozen=True, kw_only=True)
class StageInstance:
    """A stage planned for one data set with settled knobs; equal recipes are one asset."""

    key: AssetPath
    stage: Stage
    dataset: str
    experiment: str
    source: Source
    knobs: Knobs
    models: Mapping[str, str]
    """Registry name -> identity of the weights."""
    inputs: Mapping[str, AssetPath]
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


@dataclass(frozen=True, kw_only=True)
class Work:
    """Everything a body may use."""

    instance: StageInstance
    inputs: Mapping[str, Artifact]
    slot: Slot
    reuse: Sequence[Artifact]
    runtime: Runtime
    log: Callable[[str], None]
    raw: str | None = None
    """Fingerprint of the stage's raw data, where it reads any."""
    launch: Callable[[Sequence[str]], object] = subprocess.check_call
    """Runs a command and waits for it; the orchestrator puts its own way here, which streams logs and can cancel."""
    rank: int = 0
    ranks: int = 1
    """Place of this process among those that run the body, see `assets.framework.distributed`."""

    def knobs_as(self, kind: type[K]) -> K:
        """The stage's settled knobs, whose type the body knows."""
        assert isinstance(self.instance.knobs, kind)
        return self.instance.knobs

    @cached_property
    def dataset(self) -> Dataset:
        """The reader of the raw data."""
        return open_dataset(self.instance.source.config)


def own_recipe(stage: Stage, knobs: Knobs, models: Mapping[str, str]) -> str:
    """Digest of what the stage itself brings: name, version, knobs, weights. Rows are reused under equal ones."""
    return digest({"stage": stage.name, "version": stage.version, "knobs": knobs.recipe(), "models": dict(models)})


def fingerprint(instance: StageInstance, inputs: Mapping[str, str], *, raw: str | None = None) -> str:
    """Digest of the stage's own recipe and the fingerprints of the artifacts (or raw data) it reads."""
    division = {"splits": list(instance.source.splits), **instance.source.unusual}
    return digest({"own": instance.own_recipe, "inputs": dict(inputs), "raw": raw, **division})
