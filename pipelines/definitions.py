"""What Dagster loads: assets of every planned stage instance, jobs, automation and resources.

`build_defs` makes a fresh set, with other folders or resources in tests; `defs` is the one that `workspace.yaml` names.
Nothing that this module reaches imports torch or spaCy.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from assets.framework.asset_factory import build_stage_asset
from assets.framework.stage import StageInstance
from assets.stages import STAGES
from pipelines.config.dataset_files import read_datasets
from pipelines.config.experiment_files import read_experiments
from pipelines.config.yaml_files import dataset_folders, experiment_folders
from pipelines.graph.automation import automations
from pipelines.graph.jobs import experiment_jobs
from pipelines.graph.maintenance import MAINTENANCE
from pipelines.graph.planner import plan
from resources.checkpoints import checkpoint_folder, identity
from resources.dagster_resources import ArtifactStore, RuntimeResource
from resources.paths import home


def load_plan(
    *,
    experiments: Sequence[Path] | None = None,
    datasets: Sequence[Path] | None = None,
) -> list[StageInstance]:
    """Every stage instance that is asked for: by files of experiments and data sets, or since (`ask_for`).

    Raises:
        ValueError: a file is wrong; the message names it.
    """
    known = read_experiments(experiments if experiments is not None else experiment_folders(), STAGES)
    there = read_datasets(datasets if datasets is not None else dataset_folders())
    for what, name, unknown in (
        *(("experiment", one.name, set(one.datasets) - set(there)) for one in known.values()),
        *(("data set", name, set(one.experiments) - set(known)) for name, one in there.items()),
    ):
        if unknown:
            raise ValueError(f"{what} {name} names what no file describes: {', '.join(sorted(unknown))}")
    pairs = [
        (name, dataset.source, experiment)
        for experiment in known.values()
        for name, dataset in there.items()
        if dataset.has(experiment.name, experiment.datasets)
    ]
    return plan(pairs, STAGES, _identify)


def build_defs(
    *,
    experiments: Sequence[Path] | None = None,
    datasets: Sequence[Path] | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """A fresh `Definitions`; the folders replace the shipped ones."""
    instances = load_plan(experiments=experiments, datasets=datasets)
    jobs = experiment_jobs(instances)
    sensors, schedules = automations(instances)
    return dg.Definitions(
        assets=[build_stage_asset(instance) for instance in instances],
        jobs=[*jobs, *MAINTENANCE],
        sensors=sensors,
        schedules=schedules,
        resources={
            "store": ArtifactStore(root=str(home() / "store")),
            "runtime": RuntimeResource(),
        },
        loggers=loggers,
        executor=dg.multiprocess_executor.configured(
            {
                "max_concurrent": 2,
                "start_method": {"forkserver": {"preload_modules": ["pipelines.definitions"]}},
            }
        ),
    )


def _identify(model: str) -> str:
    return identity(model, checkpoint_folder())


defs = build_defs()
