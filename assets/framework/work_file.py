"""A running stage as JSON, for processes that share its training, and what they answer; nothing is pickled."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from assets.data.source import Source
from assets.framework.stage import Outcome, StageInstance
from assets.framework.work import Work
from assets.stages import STAGES
from resources.runtime import Runtime
from storage.artifact import Artifact, Slot
from storage.manifest import Tally


class ArtifactFile(BaseModel):
    """Where an artifact lies, and the recipe that its key was pointed at it by."""

    path: Path
    planned: str

    @classmethod
    def of(cls, artifact: Artifact) -> "ArtifactFile":
        """The same as data."""
        return cls(path=artifact.path, planned=artifact.planned)

    def artifact(self) -> Artifact:
        """The artifact itself."""
        return Artifact(self.path, planned=self.planned)


class InstanceFile(BaseModel):
    """A `StageInstance`, its stage by name."""

    stage: str
    knobs: dict[str, Any]
    source: Source
    key: tuple[str, ...]
    dataset: str
    experiment: str
    models: dict[str, str]
    inputs: dict[str, tuple[str, ...]]
    planned_inputs: dict[str, str]
    own_recipe: str
    recipe: str
    changed: dict[str, Any]
    used_by: tuple[str, ...]

    @classmethod
    def of(cls, instance: StageInstance) -> "InstanceFile":
        """The same as data."""
        fields = {name: getattr(instance, name) for name in cls.model_fields}
        knobs = instance.knobs.model_dump(mode="json")
        return cls.model_validate({**fields, "stage": instance.stage.name, "knobs": knobs})

    def instance(self) -> StageInstance:
        """The instance itself."""
        stage = STAGES[self.stage]
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return StageInstance(**{**fields, "stage": stage, "knobs": stage.knobs.model_validate(self.knobs)})


class WorkFile(BaseModel):
    """Everything that another process needs to run the same body."""

    instance: InstanceFile
    inputs: dict[str, ArtifactFile]
    reuse: tuple[ArtifactFile, ...]
    slot: Slot
    runtime: Runtime
    ranks: int
    rendezvous: Path | None
    """A file that exists for this start only, through which the processes of one machine find each other."""

    @classmethod
    def of(cls, work: Work, *, rendezvous: Path | None = None) -> "WorkFile":
        """A running stage as data."""
        return cls(
            instance=InstanceFile.of(work.instance),
            inputs={name: ArtifactFile.of(artifact) for name, artifact in work.inputs.items()},
            reuse=tuple(map(ArtifactFile.of, work.reuse)),
            slot=work.slot,
            runtime=work.runtime,
            ranks=work.runtime.processes,
            rendezvous=rendezvous,
        )

    def work(self, *, rank: int, log: Callable[[str], None]) -> Work:
        """The stage as this process runs it."""
        return Work(
            instance=self.instance.instance(),
            inputs={name: file.artifact() for name, file in self.inputs.items()},
            slot=self.slot,
            reuse=[file.artifact() for file in self.reuse],
            runtime=self.runtime,
            log=log,
            rank=rank,
            ranks=self.ranks,
        )


class Answer(BaseModel):
    """What the first process found out, or why a person has to act."""

    refused: str | None = None
    tallies: dict[str, Tally] = {}
    metrics: dict[str, float | int | str] = {}
    preview: str | None = None
    """PNG in base64."""
    resolved: dict[str, str] = {}
    """Device and precision as they came out."""

    @classmethod
    def of(cls, outcome: Outcome, *, resolved: Mapping[str, str]) -> "Answer":
        """An outcome as data."""
        preview = None if outcome.preview is None else base64.b64encode(outcome.preview).decode()
        return cls(
            tallies=dict(outcome.tallies), metrics=dict(outcome.metrics), preview=preview, resolved=dict(resolved)
        )

    def outcome(self) -> Outcome:
        """The outcome itself."""
        preview = None if self.preview is None else base64.b64decode(self.preview)
        return Outcome(tallies=self.tallies, metrics=self.metrics, preview=preview)
