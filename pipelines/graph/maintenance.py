"""Jobs that look after experiments and the store: ask for experiments, write new ones, collect garbage, verify bytes.

They are launched from Jobs in the UI, where the launchpad shows their settings. What they do is written in
`pipelines.config.experiment_files`, `pipelines.config.dataset_files` and `storage`; here are only the ops around it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.dataset_files import ask_for, read_datasets
from pipelines.config.described import Described, unknown
from pipelines.config.experiment_files import Experiment, ExperimentFile, read_experiments, settle
from pipelines.config.plain_yaml import told
from pipelines.config.yaml_files import checked_name, dataset_folders, experiment_folders, read_each, write_file
from resources.dagster_resources import ArtifactStore
from resources.paths import home
from resources.store import open_store
from storage.artifact import Artifact, Store, StoreError

SHOWN = 50
"""Rows of a table in the UI; counts are always whole."""
EXAMPLE = {
    "name": "sharper",
    "extends": "base",
    "description": "Around a candidate less is blurred.",
    "knobs": {"mask_choices": {"sigma": 0.05}},
}
"""What the launchpad begins with."""
RELOAD = "Press Reload definitions (Deployment, code locations) and its assets appear."


class NewExperiment(dg.Config):
    """What to call the experiment and what it changes."""

    name: str = Field(description="What to call it: letters and digits, with _ between them")
    extends: str = Field(default="base", description="The experiment whose settings it starts from.")
    description: str = Field(default="", description="One sentence on what it is for.")
    knobs: dict[str, Any] = Field(
        default={}, description="Changed knobs per stage, such as {mask_choices: {sigma: 0.15}}."
    )
    targets: list[str] = Field(default=[], description="Stages to end in; none: as the experiment it extends.")
    datasets: list[str] = Field(default=[], description="Data sets to run on; none: those of the one it extends.")


class Wish(dg.Config):
    """Which experiments to see on which data set."""

    experiments: list[str] = Field(description="Names of experiments, such as [red_ellipse, no_projection].")
    dataset: str = Field(default="toyref", description="Data set to run them on.")


class Collection(dg.Config):
    """What may go."""

    dry_run: bool = Field(default=True, description="Only list what would be deleted.")
    min_age_days: float = Field(default=1.0, ge=0, description="What was touched since then stays.")


def register(new: NewExperiment) -> Path:
    """Validate a new experiment together with all others and write it to `<home>/experiments/<name>.yaml`.

    Registering the same again changes nothing, while its parent runs on the same data sets. Another one of that name
    takes the place of the earlier one as long as that has no results, and nothing extends it.

    Raises:
        Refused: the name is unusable or means another experiment, or a parent, stage, knob or data set is unknown.
        StoreError: the disk refuses.
    """
    path = home() / "experiments" / f"{checked_name(new.name)}.yaml"
    experiments = read_experiments(experiment_folders(), STAGES)
    datasets = read_datasets(dataset_folders())
    parent = experiments.get(new.extends)
    inherited = [name for name, dataset in datasets.items() if parent and dataset.has(parent.name, parent.datasets)]
    try:
        file = ExperimentFile(
            extends=new.extends,
            description=new.description,
            datasets=tuple(new.datasets or inherited),
            targets=tuple(new.targets) or None,
            knobs=new.knobs,
        )
    except ValidationError as error:
        raise Refused(f"experiment {new.name}: {told(error)}") from error
    if parent and not file.datasets:
        raise Refused(f"nobody asked for {new.extends} on a data set; say in `datasets` where to run {new.name}")
    for dataset in file.datasets:
        datasets.named(dataset)
    experiments.require_whole(new.name)
    if new.name in experiments:
        path = experiments.paths[new.name]
        if _own(path) == file:
            return path
        _require_changeable(new.name, _own(path), experiments)
    _require_settled(new.name, file, experiments)
    write_file(path, file, comment="Written by the job register_experiment.")
    return path


@contextmanager
def refusals_as_failures() -> Iterator[None]:
    """A refusal fails the op in its own words, and is not tried again."""
    try:
        yield
    except (Refused, StoreError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


@dg.op(out=dg.Out(dg.Nothing))
def write_experiment(context: dg.OpExecutionContext, config: NewExperiment) -> None:
    """Write the experiment, unless something in it is wrong."""
    with refusals_as_failures():
        path = register(config)
    context.log.info(f"{path} is there. {RELOAD}")
    context.add_output_metadata({"file": dg.MetadataValue.path(str(path)), "next": RELOAD})


@dg.op(out=dg.Out(dg.Nothing))
def add_to_the_graph(context: dg.OpExecutionContext, config: Wish) -> None:
    """Remember that the experiments are wanted there."""
    with refusals_as_failures():
        new = ask_for(config.dataset, config.experiments)
    context.log.info(f"{len(new)} of {len(config.experiments)} are new. {RELOAD}")
    context.add_output_metadata({"new": dg.MetadataValue.text(", ".join(new)), "next": RELOAD})


@dg.op(out=dg.Out(dg.Nothing))
def delete_unreferenced(
    context: dg.OpExecutionContext, config: Collection, store: dg.ResourceParam[ArtifactStore]
) -> None:
    """List, and unless `dry_run` delete, artifacts that no asset points at and abandoned work."""
    with refusals_as_failures():
        opened = replace(store.open(), log=context.log.info)
        garbage = opened.collect_garbage(config.dry_run, min_age=timedelta(days=config.min_age_days))
    verb = "would be deleted; set dry_run: false to delete them" if config.dry_run else "deleted"
    context.log.info(
        f"{len(garbage.objects)} artifacts and {len(garbage.partials)} unfinished ones, {garbage.size:,} bytes: {verb}"
    )
    rows = [(path.parent.name, path.name, "finished") for path in garbage.objects]
    rows += [(path.parent.name, path.name, "unfinished") for path in garbage.partials]
    context.add_output_metadata(
        {
            "artifacts": len(rows),
            "bytes": garbage.size,
            "deleted": not config.dry_run,
            "list": _table(("stage", "fingerprint", "state"), rows),
        }
    )


@dg.op(out=dg.Out(dg.Nothing))
def compare_checksums(context: dg.OpExecutionContext, store: dg.ResourceParam[ArtifactStore]) -> None:
    """Read every artifact and ref again; fail with the list of damaged files when there are any."""
    opened = store.open()
    with refusals_as_failures():
        artifacts = opened.artifacts()
        problems = [("", file, problem) for file, problem in opened.verify_pointers()]
    for number, artifact in enumerate(artifacts, start=1):
        problems += [
            (artifact.path.parent.name, artifact.path.name, problem) for problem in _problems(opened, artifact)
        ]
        if number % 20 == 0:
            context.log.info(f"{number} of {len(artifacts)} artifacts read")
    metadata = {"artifacts": len(artifacts), "problems": len(problems)}
    if problems:
        table = _table(("stage", "fingerprint", "problem"), problems)
        advice = "Materialize their assets again with force: true in the run's config (resources, runtime, config)."
        first = ": ".join(filter(None, problems[0]))
        raise dg.Failure(
            f"{len(problems)} problems in {len(artifacts)} artifacts, the first: {first}. {advice}",
            metadata={**metadata, "list": table},
            allow_retries=False,
        )
    context.log.info(f"all {len(artifacts)} artifacts are as they were written")
    context.add_output_metadata(metadata)


@dg.job(executor_def=dg.in_process_executor, config={"ops": {"write_experiment": {"config": EXAMPLE}}})
def register_experiment() -> None:
    """Add an experiment from the launchpad: a name and the knobs it changes. Then press Reload definitions.

    One that has no results yet is changed by registering it again.
    """
    write_experiment()


@dg.job(
    executor_def=dg.in_process_executor,
    config={"ops": {"add_to_the_graph": {"config": {"experiments": ["red_ellipse"], "dataset": "toyref"}}}},
)
def ask_for_experiments() -> None:
    """Show experiments that ship, or that you wrote, on a data set. Then press Reload definitions."""
    add_to_the_graph()


@dg.job(executor_def=dg.in_process_executor)
def collect_garbage() -> None:
    """List artifacts that no asset points at (older results included); `dry_run: false` deletes them."""
    delete_unreferenced()


@dg.job(executor_def=dg.in_process_executor)
def verify_store() -> None:
    """Read every byte of every artifact and compare it with the checksums of its manifest."""
    compare_checksums()


MAINTENANCE = (register_experiment, ask_for_experiments, collect_garbage, verify_store)


def _own(path: Path) -> ExperimentFile | None:
    """What a file of the user's own says."""
    return read_each([home() / "experiments"], ExperimentFile)[0].get(path)


def _require_changeable(name: str, written: ExperimentFile | None, experiments: Described[Experiment]) -> None:
    """Refuse to change what ships, what others extend, and what has results: they would mean something else."""
    heirs = [one.name for one in experiments.values() if one.extends == name]
    if written is None or heirs or any(name in key[1:-1] for key in open_store().refs()):
        why = "it ships" if written is None else f"{', '.join(heirs)} extends it" if heirs else "it has results"
        raise Refused(f"an experiment called {name} exists already and is different ({why}); choose another name")


def _require_settled(name: str, file: ExperimentFile, experiments: Described[Experiment]) -> None:
    """Refuse what an experiment file may not say."""
    if file.extends not in experiments:
        raise Refused(
            unknown(f"experiment {name}: its parent does not exist:", str(file.extends), experiments, "mend `extends`")
        )
    try:
        settle(name, file, experiments, STAGES)
    except Refused as problem:
        raise Refused(f"experiment {name}: {problem}") from problem


def _problems(store: Store, artifact: Artifact) -> Sequence[str]:
    """What is wrong with an artifact, unless it was deleted since it was listed."""
    problems = store.verify(artifact)
    return problems if artifact.path.is_dir() else ()


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> dg.TableMetadataValue:
    records = [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in list(rows)[:SHOWN]]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name) for name in columns]))
