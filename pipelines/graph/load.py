"""The plan as files ask for it: every stage instance, and those of one experiment. Without Dagster."""

from collections.abc import Sequence
from pathlib import Path

from assets.framework.stage import AssetPath, StageInstance
from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.dataset_files import read_datasets
from pipelines.config.experiment_files import read_experiments
from pipelines.config.yaml_files import dataset_folders, experiment_folders
from pipelines.graph.planner import closure, plan
from resources.checkpoints import checkpoint_folder, identity


def load_plan(
    *,
    experiments: Sequence[Path] | None = None,
    datasets: Sequence[Path] | None = None,
) -> list[StageInstance]:
    """Every stage instance that is asked for: by files of experiments and data sets, or since (`ask_for`).

    Args:
        experiments: folders of experiment files; None: those that ship and the user's own.
        datasets: folders of data-set files, likewise.

    Raises:
        Refused: a file is wrong; the message names it.
    """
    known_experiments = read_experiments(experiments if experiments is not None else experiment_folders(), STAGES)
    known_datasets = read_datasets(datasets if datasets is not None else dataset_folders())
    for what, name, unknown in (
        *(("experiment", file.name, set(file.datasets) - set(known_datasets)) for file in known_experiments.values()),
        *(("data set", name, set(file.experiments) - set(known_experiments)) for name, file in known_datasets.items()),
    ):
        if unknown:
            raise Refused(f"{what} {name} names what no file describes: {', '.join(sorted(unknown))}")
    pairs = [
        (name, dataset.source, experiment)
        for experiment in known_experiments.values()
        for name, dataset in known_datasets.items()
        if dataset.has(experiment.name, experiment.datasets)
    ]
    return plan(pairs, STAGES, identify)


def identify(model: str) -> str:
    """Identity of the weights that a knob names, from the checkpoint folder."""
    return identity(model, checkpoint_folder())


def models_of(experiment: str) -> list[str]:
    """Registry names of the models that an experiment's stages load, in the order of the stages.

    Raises:
        Refused: no file describes the experiment.
    """
    known = read_experiments(experiment_folders(), STAGES)
    if experiment not in known:
        raise Refused(f"unknown experiment {experiment!r}; there are {', '.join(known)}")
    stages = [STAGES[name] for name in closure(known[experiment], STAGES)]
    return list(dict.fromkeys(model for stage in stages for model in known[experiment].of(stage).models()))


def planned(dataset: str, experiment: str) -> list[StageInstance]:
    """What an experiment uses on a data set, inputs first.

    Raises:
        Refused: nobody asked for this pair; says what asks for it, and which pairs there are.
    """
    instances = load_plan()
    used = in_use(instances, dataset, experiment)
    if not used:
        pairs = sorted({(instance.dataset, name) for instance in instances for name in instance.used_by})
        raise Refused(
            f"experiment {experiment} was not asked for on data set {dataset}: "
            f"`wordmask run -d {dataset} -e {experiment}` does so and runs it. "
            f"Asked for were {', '.join(f'{name} on {data}' for data, name in pairs)}"
        )
    return used


def in_use(instances: Sequence[StageInstance], dataset: str, experiment: str) -> list[StageInstance]:
    """The instances of one experiment on one data set, inputs first."""
    return [instance for instance in instances if instance.dataset == dataset and experiment in instance.used_by]


def leading_to(stage: str | None, instances: Sequence[StageInstance]) -> list[StageInstance]:
    """A stage and all it needs, inputs first; everything where no stage is named.

    Raises:
        Refused: no instance is of that stage.
    """
    if stage is None:
        return list(instances)
    names = [instance.stage.name for instance in instances]
    if stage not in names:
        raise Refused(f"no stage is called {stage} here; stages: {', '.join(names)}")
    wanted: set[AssetPath] = set()
    for instance in reversed(instances):  # readers come after their inputs
        if instance.stage.name == stage or instance.key in wanted:
            wanted |= {instance.key, *instance.inputs.values()}
    return [instance for instance in instances if instance.key in wanted]
