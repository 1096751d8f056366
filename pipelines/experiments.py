"""Experiment and data-set files: find, read, validate, and settle what each one inherits.

A file in `pipelines/experiments` (shipped) or `<home>/experiments` (yours) is one experiment; it `extends` another and
names only what it changes. Data sets work the same way, without inheritance, in `datasets`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.knobs import Knobs
from assets.stage import Source, Stage, ToyWorld
from resources.datasets import Corpus, DatasetConfig, open_dataset
from resources.datasets.records import Kind
from resources.store import home
from storage.files import write_bytes

SHIPPED = Path(__file__).resolve().parent
NAME = re.compile(r"(?=.{1,60}$)[A-Za-z0-9]+(_[A-Za-z0-9]+)*")
"""What experiments and data sets may be called: Dagster builds names of steps, groups and jobs out of them."""
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
    evaluate: tuple[str, ...] = Field(default=("val", "testA", "testB"), min_length=1)
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


def write_dataset(name: str, *, folder: Path, manifest: str | None, experiment: str) -> Path:
    """Describe a user's folder of pictures in `<home>/datasets/<name>.yaml`, once the reader has found it usable.

    Rows that name no split train. All other splits are scored; where there is none, the training rows are, so that
    their masks are predicted too. An equal description that exists already only gains the experiment.

    Args:
        name: what the data set will be called.
        folder: holds the pictures and the table of expressions.
        manifest: name of that table below the folder, unless it is expressions.csv or expressions.jsonl.
        experiment: experiment to run on it.

    Returns:
        The file; the comment at its top says what was found.

    Raises:
        ValueError: the name is unusable or taken, no such experiment is known, or the folder cannot be used.
    """
    checked_name(name)
    known = _read_files(experiment_folders(), ExperimentFile)
    if experiment not in known:
        raise ValueError(f"no experiment is called {experiment}; known are {', '.join(known)}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the one that holds the pictures and their expressions")
    config = DatasetConfig(kind="folder", root=folder.resolve(), name=name, manifest=manifest)
    corpus = open_dataset(config).references()
    _demand_usable(corpus, config.root)
    file = DatasetFile(
        kind="folder",
        root=config.root,
        manifest=manifest,
        evaluate=tuple(split for split in corpus.splits if split != "train") or ("train",),
        experiments=(experiment,),
    )
    return _write_once(name, file, _found(corpus))


def checked_name(name: str) -> str:
    """The name, if an experiment or a data set may be called so.

    Raises:
        ValueError: it may not; says what is allowed.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be a name; use letters and digits with single _ between them, at most 60 in all, such as "
            f"{re.sub('[^A-Za-z0-9]+', '_', name).strip('_')[:60] or 'mine'}"
        )
    return name


def write_file(path: Path, file: BaseModel, *, comment: str) -> None:
    """Write an experiment or data-set file: what differs from the defaults, below a comment."""
    content = yaml.safe_dump(file.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)
    lines = ("".join(sign if sign.isprintable() else "?" for sign in line) for line in comment.splitlines())
    notes = "".join(f"# {line}\n" for line in lines)
    write_bytes(path, (notes + content).encode())


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
        try:
            checked_name(path.stem)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
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


def _demand_usable(corpus: Corpus, root: Path) -> None:
    """A data set that would only fail later is refused with its reasons."""
    kept, lost = len(corpus.references), len(corpus.quarantined)
    reasons = "; ".join(f"{row.where}: {row.reason}" for row in corpus.quarantined[:3])
    if lost > kept:
        raise ValueError(f"{lost} of {kept + lost} rows in {root} cannot be used ({reasons}); mend them and add again")
    if "train" not in corpus.splits:
        raise ValueError(
            f"{root} has the splits {', '.join(corpus.splits)} but no row to train on; leave the column `split` empty, "
            "or say train in some rows: no drawn mask is needed for them"
        )


def _found(corpus: Corpus) -> str:
    rows, lost = corpus.references, corpus.quarantined
    splits = ", ".join(f"{split} {sum(row.split == split for row in rows)}" for split in corpus.splits)
    objects, images = len({row.ref_id for row in rows}), len({row.image_file for row in rows})
    lines = [f"Expressions: {len(rows)} ({splits}); objects: {objects}; images: {images}."]
    if lost:
        lines.append(f"Rows left out: {len(lost)}, such as {lost[0].where}: {lost[0].reason}".replace("\n", " "))
    return "\n".join(lines)


def _write_once(name: str, file: DatasetFile, comment: str) -> Path:
    path = home() / "datasets" / f"{name}.yaml"
    if (SHIPPED / "datasets" / path.name).exists():
        raise ValueError(f"a data set that comes with wordmask is called {name}; choose another name")
    known = _read_files([path.parent], DatasetFile).get(name)
    if known is not None:
        if known.model_copy(update={"experiments": ()}) != file.model_copy(update={"experiments": ()}):
            raise ValueError(f"{path} describes {name} differently; choose another name, or edit or delete that file")
        merged = tuple(dict.fromkeys((*known.experiments, *file.experiments)))
        file = file.model_copy(update={"experiments": merged})
    write_file(path, file, comment=comment)
    return path
