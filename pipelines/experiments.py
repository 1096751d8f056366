"""Experiment and data-set files: find, read, validate, and settle what each one inherits.

A file in `pipelines/experiments` (shipped) or `<home>/experiments` (yours) is one experiment; it `extends` another and
names only what it changes. Data sets work the same way, without inheritance, in `datasets`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from assets.knobs import Knobs
from assets.stage import Source, Stage, ToyWorld
from resources.datasets import DatasetConfig
from resources.datasets.records import Kind
from resources.store import home

SHIPPED = Path(__file__).resolve().parent
F = TypeVar("F", bound=BaseModel)


class ExperimentFile(BaseModel):
    """One experiment as written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    extends: str | None = None
    description: str = ""
    datasets: tuple[str, ...] = ()
    targets: tuple[str, ...] | None = None
    """Stages to end in; what they need comes along. None: as the experiment it extends."""
    knobs: dict[str, dict[str, Any]] = {}


class DatasetFile(BaseModel):
    """One data set as written. Relative roots are relative to the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    root: Path | None = None
    name: str | None = None
    """Folder of the set inside the root (refer layout), e.g. `refcoco+`."""
    split_by: str = "unc"
    published: bool | None = None
    """Whether the published counts must hold; None: unless the set is plainly a subset."""
    manifest: str | None = None
    """Table of image and expression (`folder` kind)."""
    split_map: dict[str, str] = {}
    train: tuple[str, ...] = ("train",)
    evaluate: tuple[str, ...] = ("val", "testA", "testB")
    toy: ToyWorld | None = None
    experiments: tuple[str, ...] = ()


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
        ValueError: a file is not valid, names an unknown parent, stage or knob, or two files share a name.
    """
    files = _read_files(folders, ExperimentFile)
    settled: dict[str, Experiment] = {}
    waiting = dict(files)
    while waiting:
        ready = [name for name, file in waiting.items() if file.extends is None or file.extends in settled]
        if not ready:
            broken = ", ".join(f"{name} (extends {file.extends})" for name, file in sorted(waiting.items()))
            raise ValueError(f"experiments whose parent does not exist, or which extend each other: {broken}")
        for name in ready:
            settled[name] = _settle(name, waiting.pop(name), settled, stages)
    return settled


def read_sources(folders: Iterable[Path]) -> dict[str, tuple[Source, tuple[str, ...]]]:
    """All data sets, each with the experiments that its own file asks for."""
    sources: dict[str, tuple[Source, tuple[str, ...]]] = {}
    for folder in folders:
        for name, file in _read_files([folder], DatasetFile).items():
            if name in sources:
                raise ValueError(f"{folder / name}.yaml: another data set is already called {name}; rename one of them")
            sources[name] = (_source(name, file, folder), file.experiments)
    return sources


def experiment_folders() -> list[Path]:
    """Shipped experiments first, the user's own after them."""
    return [SHIPPED / "experiments", home() / "experiments"]


def worlds() -> Path:
    """Where embedded worlds are drawn."""
    return home() / "worlds"


def dataset_folders() -> list[Path]:
    """Shipped data sets first, the user's own after them."""
    return [SHIPPED / "datasets", home() / "datasets"]


def _read_files(folders: Iterable[Path], model: type[F]) -> dict[str, F]:
    files: dict[str, F] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        if path.stem in files:
            raise ValueError(f"{path}: another file is already called {path.stem}; rename one of them")
        try:
            files[path.stem] = model.model_validate(yaml.safe_load(path.read_text()) or {})
        except (ValidationError, yaml.YAMLError) as error:
            raise ValueError(f"{path}: {error}") from error
    return files


def _settle(
    name: str, file: ExperimentFile, settled: Mapping[str, Experiment], stages: Mapping[str, Stage]
) -> Experiment:
    parent = settled[file.extends] if file.extends else None
    unknown = [*(set(file.knobs) - set(stages)), *(set(file.targets or ()) - set(stages))]
    if unknown:
        raise ValueError(f"experiment {name}: no stage is called {', '.join(unknown)}; stages: {', '.join(stages)}")
    knobs = {stage: parent.knobs[stage] if parent else stages[stage].knobs() for stage in stages}
    for stage, overrides in file.knobs.items():
        try:
            knobs[stage] = type(knobs[stage]).model_validate({**knobs[stage].model_dump(), **overrides})
        except ValidationError as error:
            raise ValueError(f"experiment {name}, stage {stage}: {error}") from error
    return Experiment(
        name=name,
        extends=file.extends,
        description=file.description,
        datasets=file.datasets,
        targets=file.targets or (parent.targets if parent else ()),
        knobs=knobs,
        changed=file.knobs,
    )


def _source(name: str, file: DatasetFile, folder: Path) -> Source:
    root = worlds() / name if file.root is None else (folder / file.root).resolve()
    config = DatasetConfig(
        kind=file.kind,
        root=root,
        name=file.name or (file.toy.style if file.toy else name),
        split_by=file.split_by,
        expect_published_counts=file.published,
        manifest=file.manifest,
        split_map=file.split_map,
    )
    return Source(config=config, train=file.train, evaluate=file.evaluate, toy=file.toy)
