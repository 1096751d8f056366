"""Experiment files: read, validate, and settle what each one inherits.

A file is one experiment; it `extends` another and names only what it changes.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from assets.framework.knobs import Knobs
from assets.framework.stage import Stage
from ops.refusal import Refused
from pipelines.config.described import Described, LeftOut, unknown
from pipelines.config.plain_yaml import told
from pipelines.config.yaml_files import read_each
from pipelines.escaping import escaped
from resources.checkpoints import CHECKPOINTS, HUB_CHECKPOINTS, registered


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


def read_experiments(folders: Iterable[Path], stages: Mapping[str, Stage]) -> Described[Experiment]:
    """All experiments, parents before children.

    A file is left out when it is not valid, shares its name with an earlier one, or names an unknown parent, stage or
    knob; and with it those that extend it.
    """
    files, left_out = read_each(folders, ExperimentFile)
    settled: dict[str, Experiment] = {}
    waiting = dict(files)
    while ready := [path for path, file in waiting.items() if file.extends is None or file.extends in settled]:
        for path in ready:
            file = waiting.pop(path)
            try:
                settled[path.stem] = settle(path.stem, file, settled, stages)
            except Refused as problem:
                left_out.append(LeftOut(path, str(problem)))
    names = {path.stem for path in (*waiting, *(file.path for file in left_out))}
    left_out += [LeftOut(path, _orphaned(file, names, settled)) for path, file in waiting.items()]
    paths = {path.stem: path for path in files}
    return Described("experiment", settled, paths, tuple(left_out))


def _orphaned(file: ExperimentFile, left_out: Collection[str], settled: Collection[str]) -> str:
    """Why an experiment whose parent is not among the settled ones can not be settled."""
    if file.extends in left_out:
        return f"it extends {escaped(str(file.extends))}, which is left out itself, or extends it in turn"
    return unknown("its parent does not exist: no experiment is called", str(file.extends), settled, "mend `extends`")


def settle(
    name: str, file: ExperimentFile, settled: Mapping[str, Experiment], stages: Mapping[str, Stage]
) -> Experiment:
    """An experiment with what it inherits.

    Args:
        name: its own.
        file: as written; what it extends is among `settled`.
        settled: experiments by name.
        stages: all there are.

    Raises:
        Refused: a stage, knob or model is not known, or a value is wrong.
    """
    parent = settled[file.extends] if file.extends else None
    for stage in (*file.knobs, *(file.targets or ())):
        if stage not in stages:
            raise Refused(unknown("no stage is called", stage, stages, f"stages: {', '.join(stages)}"))
    knobs = {stage: parent.knobs[stage] if parent else stages[stage].knobs() for stage in stages}
    for stage, overrides in file.knobs.items():
        try:
            knobs[stage] = type(knobs[stage]).model_validate({**knobs[stage].model_dump(), **overrides})
        except ValidationError as error:
            raise Refused(f"stage {stage}: {told(error, type(knobs[stage]), stage=stage)}") from error
    for stage in file.knobs:
        _require_models(stage, knobs[stage])
    return Experiment(
        name=name,
        extends=file.extends,
        description=file.description,
        datasets=file.datasets,
        targets=file.targets or (parent.targets if parent else ()),
        knobs=knobs,
        changed=file.knobs,
    )


def _require_models(stage: str, knobs: Knobs) -> None:
    for model in knobs.models():
        try:
            registered(model)
        except Refused as problem:
            known = (*CHECKPOINTS, *HUB_CHECKPOINTS)
            why = str(problem) if ":" in model else "`wordmask models list`"
            raise Refused(unknown(f"stage {stage}: no model is called", model, known, why)) from problem
