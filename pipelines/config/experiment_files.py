"""Experiment files: read, validate, and settle what each one inherits.

A file is one experiment; it `extends` another and names only what it changes.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from assets.framework.knobs import Knobs
from assets.framework.stage import Stage
from ops.refusal import Refused
from pipelines.config.plain_yaml import told
from pipelines.config.yaml_files import read_files


class ExperimentFile(BaseModel):
    """One experiment as written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    extends: str | None = None
    description: str = ""
    datasets: tuple[str, ...] = ()
    targets: tuple[str, ...] | None = None
    """Stages to end in; what they need comes along. None: as the experiment it extends."""
    knobs: dict[str, dict[str, Any]] = {}


class Experiment(BaseModel):
    """One experiment with everything inherited filled in."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    extends: str | None
    description: str
    datasets: tuple[str, ...]
    targets: tuple[str, ...]
    knobs: dict[str, Knobs]
    changed: dict[str, dict[str, Any]]

    def of(self, stage: Stage) -> Knobs:
        """The settled knobs of a stage."""
        return self.knobs[stage.name]


def read_experiments(folders: Iterable[Path], stages: Mapping[str, Stage]) -> dict[str, Experiment]:
    """All experiments, parents before children.

    Raises:
        Refused: a file is not valid, names an unknown parent, stage or knob, or two files share a name.
    """
    files = {path.stem: file for path, file in read_files(folders, ExperimentFile).items()}
    settled: dict[str, Experiment] = {}
    waiting = dict(files)
    while waiting:
        ready = [name for name, file in waiting.items() if file.extends is None or file.extends in settled]
        if not ready:
            broken = ", ".join(f"{name} (extends {file.extends})" for name, file in sorted(waiting.items()))
            raise Refused(f"experiments whose parent does not exist, or which extend each other: {broken}")
        for name in ready:
            settled[name] = _settle(name, waiting.pop(name), settled, stages)
    return settled


def _settle(
    name: str, file: ExperimentFile, settled: Mapping[str, Experiment], stages: Mapping[str, Stage]
) -> Experiment:
    parent = settled[file.extends] if file.extends else None
    unknown = [*(set(file.knobs) - set(stages)), *(set(file.targets or ()) - set(stages))]
    if unknown:
        raise Refused(f"experiment {name}: no stage is called {', '.join(unknown)}; stages: {', '.join(stages)}")
    knobs = {stage: parent.knobs[stage] if parent else stages[stage].knobs() for stage in stages}
    for stage, overrides in file.knobs.items():
        try:
            knobs[stage] = type(knobs[stage]).model_validate({**knobs[stage].model_dump(), **overrides})
        except ValidationError as error:
            raise Refused(f"experiment {name}, stage {stage}: {told(error)}") from error
    return Experiment(
        name=name,
        extends=file.extends,
        description=file.description,
        datasets=file.datasets,
        targets=file.targets or (parent.targets if parent else ()),
        knobs=knobs,
        changed=file.knobs,
    )
