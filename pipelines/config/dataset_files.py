"""Data-set files: what the data are and where they lie, and which experiments are asked for on them."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from assets.data.source import Source, ToyWorld
from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.described import Described, LeftOut, unknown
from pipelines.config.experiment_files import Experiment, read_experiments
from pipelines.config.plain_yaml import read_yaml, told
from pipelines.config.yaml_files import (
    SHIPPED,
    checked_name,
    dataset_folders,
    experiment_folders,
    read_each,
    write_file,
)
from resources.datasets import Corpus, DatasetConfig, open_dataset
from resources.datasets.records import Kind
from resources.datasets.table_rows import is_unicode
from resources.opening import require_folder
from resources.paths import home
from storage.files import write_bytes
from storage.locks import exclusive

ASKED = "asked.yaml"
ARRIVALS = "owners.yaml"
NOTES = {
    ASKED: "Data sets and the experiments that were asked for on them.",
    ARRIVALS: "Data sets and their experiments as they came: the first of those that share an asset owns it.",
}
USES = {ASKED: "it only says what the graph shows", ARRIVALS: "it only says whose the assets are that several share"}

Watch = bool | Literal["train"]
"""Whether a run begins by itself when files change: no; yes; or one that also trains what was never trained."""


class DatasetFile(BaseModel):
    """One data set as written. Relative roots are relative to the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    root: Path | None = None
    """None: embedded worlds are drawn into `<home>/worlds`."""
    name: str | None = None
    """Folder of the set inside the root (refer layout), e.g. `refcoco+`."""
    split_by: str = "unc"
    published: bool | None = None
    """Whether the published counts must hold; None: unless the set is plainly a subset."""
    manifest: str | None = None
    """Table of image and expression (`folder` kind)."""
    split_map: dict[str, str] = {}
    image_identity: Literal["content", "stat"] = "content"
    """How images enter the fingerprint: hashed, or by size and time of change for very large sets."""
    train: tuple[str, ...] = ("train",)
    evaluate: tuple[str, ...] = Field(default=("val", "testA", "testB"), min_length=1)
    toy: ToyWorld | None = None
    experiments: tuple[str, ...] = ()
    watch: Watch = False

    @model_validator(mode="before")
    @classmethod
    def _splits_of_the_world(cls, raw: Any) -> Any:
        """A world has the splits of its style, unless the file says other ones."""
        toy = raw.get("toy") if isinstance(raw, dict) else None
        try:
            world = ToyWorld.model_validate(toy)
        except ValidationError:
            return raw
        return {"split_by": world.split_by, "evaluate": world.scored, **raw}

    @model_validator(mode="after")
    def _says_where_the_data_are(self) -> "DatasetFile":
        if self.toy is None and self.root is None and self.kind != "toyref":
            raise ValueError("root is lacking; name the folder that holds the data")
        if self.toy is not None and self.kind != "toyref":
            raise ValueError(f"toy draws a world of the kind toyref, the kind is {self.kind}; leave out one of them")
        return self


class PlannedDataset(NamedTuple):
    """A data set and who is run on it, beside the experiments that name it themselves."""

    name: str
    source: Source
    experiments: tuple[str, ...]
    """Those that its file names."""
    asked: tuple[str, ...]
    """Those that were asked for since (`ask_for`)."""
    arrived: tuple[str, ...] = ()
    """Those that were in the graph before, the first to come first (`remember`)."""
    watch: Watch = False

    def has(self, experiment: str, datasets: Collection[str]) -> bool:
        """Whether an experiment is run here whose own file names these data sets."""
        return self.name in datasets or experiment in self.experiments or experiment in self.asked

    def run_here(self, experiments: Iterable[Experiment]) -> list[Experiment]:
        """Those that are run here as they came, and after them what never was in the graph, as it is given."""
        places = {name: place for place, name in enumerate(self.arrived)}
        here = [one for one in experiments if self.has(one.name, one.datasets)]
        return sorted(here, key=lambda one: places.get(one.name, len(places)))


def read_datasets(folders: Iterable[Path]) -> Described[PlannedDataset]:
    """All data sets by name.

    A file is left out when it is not valid or shares its name with an earlier one; so is what was asked for since,
    where that file is broken.
    """
    files, left_out = read_each(folders, DatasetFile)
    sources: dict[Path, Source] = {}
    for path, file in files.items():
        try:
            sources[path] = _source(path.stem, file, path.parent)
        except Refused as problem:
            left_out.append(LeftOut(path, str(problem)))
    remembered: dict[str, dict[str, list[str]]] = {}
    for kind in (ASKED, ARRIVALS):
        try:
            remembered[kind] = _remembered(kind)
        except Refused as problem:
            remembered[kind] = {}
            left_out.append(LeftOut(home() / kind, str(problem)))
    known = {
        path.stem: PlannedDataset(
            path.stem,
            source,
            files[path].experiments,
            asked=tuple(remembered[ASKED].get(path.stem, ())),
            arrived=tuple(remembered[ARRIVALS].get(path.stem, ())),
            watch=files[path].watch,
        )
        for path, source in sources.items()
    }
    paths = {path.stem: path for path in files}
    return Described("data set", known, paths, tuple(left_out), ", and `wordmask add` registers a folder")


def read_both(
    experiments: Iterable[Path] | None = None, datasets: Iterable[Path] | None = None
) -> tuple[Described[Experiment], Described[PlannedDataset]]:
    """All experiments and all data sets, but for those that name one which no file describes.

    Args:
        experiments: folders of experiment files; None: those that ship and the user's own.
        datasets: folders of data-set files, likewise.
    """
    tried = read_experiments(experiment_folders() if experiments is None else experiments, STAGES)
    known = read_datasets(dataset_folders() if datasets is None else datasets)
    broken = {file.path.stem for file in (*tried.left_out, *known.left_out)}  # described, if not well
    named = {name: file.datasets for name, file in tried.items()}
    asked = {name: file.experiments for name, file in known.items()}
    return (
        tried.without(_astray(named, {*known, *broken}, "data set")),
        known.without(_astray(asked, {*tried, *broken}, "experiment")),
    )


def _astray(named: Mapping[str, Iterable[str]], described: Collection[str], kind: str) -> dict[str, str]:
    """Name -> why, of what names something of another kind that no file describes."""
    complaint = f"it names the {kind}"
    return {
        name: unknown(complaint, other, described, "no file describes it")
        for name, others in named.items()
        for other in others
        if other not in described
    }


def ask_for(dataset: str, experiments: Iterable[str]) -> list[str]:
    """Have experiments run on a data set from now on, which puts them into the graph; those that were not there yet.

    Files of experiments and data sets stay as they are: `<home>/asked.yaml` remembers it. A line of it whose experiment
    or data set is gone means nothing.

    Raises:
        Refused: there is no such experiment or data set; says which there are.
    """
    described, datasets = read_both()
    wanted = {name: described.named(name) for name in dict.fromkeys(experiments)}
    known = datasets.named(dataset)
    before = [one.name for one in known.run_here(described.values())]
    new = [name for name in wanted if name not in before]
    if new:
        _add(ASKED, {dataset: new})
    remember({dataset: [*before, *(name for name in described if name in new)]})
    return new


def remember(present: Mapping[str, Iterable[str]]) -> None:
    """Keep in `<home>/owners.yaml` the order in which experiments came into the graph.

    An experiment that comes later takes no shared asset away from one that has it, whatever both are called. What is
    there keeps its place; a line whose experiment or data set is gone means nothing.

    Args:
        present: data set -> experiments that are run on it now.

    Raises:
        Refused: the file is broken.
        StoreError: the disk refuses.
    """
    known = _remembered(ARRIVALS)
    if any(set(names) - set(known.get(dataset, ())) for dataset, names in present.items()):
        _add(ARRIVALS, present)


def write_dataset(name: str, *, folder: Path, manifest: str | None, experiment: str) -> Path:
    """Describe a user's folder of images in `<home>/datasets/<name>.yaml`, once the reader has found it usable.

    Rows that name no split train. All other splits are scored; where there is none, the training rows are, so that
    their masks are predicted too. An equal description that exists already stays.

    Args:
        name: what the data set will be called.
        folder: holds the images and the table of expressions.
        manifest: name of that table below the folder, unless it is expressions.csv or expressions.jsonl.
        experiment: experiment that is asked for on it.

    Returns:
        The file; the comment at its top says what was found.

    Raises:
        Refused: the name is unusable or taken, no such experiment is known, or the folder cannot be used.
    """
    checked_name(name)
    experiments, datasets = read_both()
    experiments.named(experiment)
    datasets.require_whole(name)
    require_folder(folder, "give the one that holds the images and their expressions")
    if not is_unicode(f"{folder.resolve()}{manifest or ''}"):
        raise Refused(f"the path {folder} holds what is no UTF-8, which no file can describe; rename its folders")
    config = DatasetConfig(kind="folder", root=folder.resolve(), name=name, manifest=manifest)
    corpus = open_dataset(config).corpus()
    _require_usable(corpus, config.root)
    file = DatasetFile(
        kind="folder",
        root=config.root,
        manifest=manifest,
        evaluate=tuple(split for split in corpus.splits if split != "train") or ("train",),
    )
    path = write_once(name, file, _summary(corpus))
    ask_for(name, [experiment])
    return path


def _source(name: str, file: DatasetFile, folder: Path) -> Source:
    root = home() / "worlds" / name if file.root is None else _resolved(folder / file.root)
    config = DatasetConfig(
        kind=file.kind,
        root=root,
        name=file.name or (file.toy.style if file.toy else name),
        split_by=file.split_by,
        expect_published_counts=file.published,
        manifest=file.manifest,
        split_map=file.split_map,
        image_identity=file.image_identity,
    )
    return Source(config=config, train=file.train, evaluate=file.evaluate, toy=file.toy)


def _resolved(path: Path) -> Path:
    """Where all links lead; `Refused` where they lead around in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as problem:
        raise Refused(f"root: {path} leads nowhere ({problem}); name the folder itself") from problem


def _require_usable(corpus: Corpus, root: Path) -> None:
    """A data set that would only fail later is refused with its reasons."""
    kept, lost = len(corpus.expressions), len(corpus.quarantined)
    reasons = "; ".join(f"{row.where}: {row.reason}" for row in corpus.quarantined[:3])
    if lost > kept:
        raise Refused(f"{lost} of {kept + lost} rows in {root} cannot be used ({reasons}); mend them and add again")
    if "train" not in corpus.splits:
        raise Refused(
            f"{root} has the splits {', '.join(corpus.splits)} but no row to train on; leave the column `split` empty, "
            "or say train in some rows: no ground-truth mask is needed for them"
        )


def _summary(corpus: Corpus) -> str:
    rows, lost = corpus.expressions, corpus.quarantined
    splits = ", ".join(f"{split} {sum(row.split == split for row in rows)}" for split in corpus.splits)
    objects, images = len({row.ref_id for row in rows}), len({row.image_file for row in rows})
    lines = [f"Expressions: {len(rows)} ({splits}); objects: {objects}; images: {images}."]
    if lost:
        lines.append(f"Rows left out: {len(lost)}, such as {lost[0].where}: {lost[0].reason}".replace("\n", " "))
    return "\n".join(lines)


def write_once(name: str, file: DatasetFile, comment: str) -> Path:
    """Write the user's own description of a data set, unless one of that name says something else; the file.

    Raises:
        Refused: it does, is broken, or a data set that ships is called so.
    """
    if name.casefold() in {path.stem.casefold() for path in (SHIPPED / "datasets").rglob("*.yaml")}:
        raise Refused(f"a data set that comes with wordmask is called {name}; choose another name")
    path = home() / "datasets" / f"{name}.yaml"
    files, left_out = read_each([path.parent], DatasetFile)
    Described("data set", {}, {}, tuple(left_out)).require_whole(name)
    for existing, written in files.items():
        if existing.stem.casefold() == name.casefold():
            path, file = existing, file.model_copy(update={"experiments": written.experiments, "watch": written.watch})
            if written != file:
                raise Refused(f"{path} describes {name} differently; choose another name, or edit or delete that file")
    write_file(path, file, comment=comment)
    return path


def _remembered(kind: str) -> dict[str, list[str]]:
    """Data set -> experiments, of `ASKED` or `ARRIVALS`."""
    path = home() / kind
    try:
        content = read_yaml(path) if path.exists() else None
        return TypeAdapter(dict[str, list[str]]).validate_python({} if content is None else content)
    except (ValidationError, Refused) as error:
        why = told(error) if isinstance(error, ValidationError) else error
        raise Refused(f"{why}. Mend {kind} or delete it; {USES[kind]}.") from error


def _add(kind: str, more: Mapping[str, Iterable[str]]) -> None:
    """Put experiments behind those that are remembered, while others do the same."""
    path = home() / kind
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_suffix(".lock"), timeout=60):
        known = _remembered(kind)
        for dataset, names in more.items():
            known[dataset] = list(dict.fromkeys((*known.get(dataset, ()), *names)))
        text = yaml.safe_dump(known, allow_unicode=True)
        write_bytes(path, f"# {NOTES[kind]}\n{text}".encode())
