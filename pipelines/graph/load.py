"""The plan as files ask for it: every stage instance, and those of one experiment. Without Dagster."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.framework.stage import AssetPath, StageInstance
from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.dataset_files import ASKED, PlannedDataset, read_datasets
from pipelines.config.described import Described, LeftOut, unknown
from pipelines.config.experiment_files import Experiment, read_experiments
from pipelines.config.yaml_files import dataset_folders, experiment_folders
from pipelines.graph.planner import Shared, closure, with_pair
from resources.checkpoints import checkpoint_folder, identity


@dataclass(frozen=True)
class Plan:
    """What files of experiments and data sets ask for."""

    experiments: Described[Experiment]
    datasets: Described[PlannedDataset]
    instances: tuple[StageInstance, ...]
    """Inputs first."""

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Broken files, of both kinds."""
        return (*self.experiments.left_out, *self.datasets.left_out)


def load_plan(
    *,
    experiments: Sequence[Path] | None = None,
    datasets: Sequence[Path] | None = None,
) -> list[StageInstance]:
    """Every stage instance that is asked for: by files of experiments and data sets, or since (`ask_for`).

    Broken files are left out, see `read_plan`.

    Args:
        experiments: folders of experiment files; None: those that ship and the user's own.
        datasets: folders of data-set files, likewise.
    """
    known_experiments = read_experiments(experiments if experiments is not None else experiment_folders(), STAGES)
    known_datasets = read_datasets(datasets if datasets is not None else dataset_folders())
    return list(_plan(known_experiments, known_datasets).instances)


def read_plan() -> Plan:
    """The plan of all files that ship and of the user's own, and those of them that are broken: they are left out."""
    return _plan(read_experiments(experiment_folders(), STAGES), read_datasets(dataset_folders()))


def _plan(experiments: Described[Experiment], datasets: Described[PlannedDataset]) -> Plan:
    """All pairs that are asked for, but for what names what no file describes, or a model that is not known."""
    described = {file.path.stem for file in (*experiments.left_out, *datasets.left_out)}  # so, if not well
    sound = experiments.without(_lost(experiments, {*datasets, *described}))
    known = datasets.without(_lost(datasets, {*experiments, *described}))
    planned: dict[Shared, StageInstance] = {}
    unplanned: dict[str, str] = {}
    for experiment in sound.values():
        for name, dataset in known.items():
            if dataset.has(experiment.name, experiment.datasets) and experiment.name not in unplanned:
                try:
                    planned |= with_pair(planned, (name, dataset.source, experiment), STAGES, identify)
                except (Refused, OSError) as problem:
                    unplanned[experiment.name] = str(problem)
    return Plan(sound.without(unplanned), known, tuple(planned.values()))


def _lost(described: Described[Experiment] | Described[PlannedDataset], others: Collection[str]) -> dict[str, str]:
    """Name -> why, of experiments that name data sets, or data sets that name experiments, which no file describes."""
    reasons = {}
    for name, one in described.items():
        for other in one.datasets if isinstance(one, Experiment) else one.experiments:
            if other not in others:
                kind = "data set" if isinstance(one, Experiment) else "experiment"
                reasons[name] = unknown(f"it names the {kind}", other, others, "no file describes it")
    return reasons


def identify(model: str) -> str:
    """Identity of the weights that a knob names, from the checkpoint folder."""
    return identity(model, checkpoint_folder())


def models_of(experiment: str) -> list[str]:
    """Registry names of the models that an experiment's stages load, in the order of the stages.

    Raises:
        Refused: no file describes the experiment.
    """
    wanted = read_experiments(experiment_folders(), STAGES).named(experiment)
    stages = [STAGES[name] for name in closure(wanted, STAGES)]
    return list(dict.fromkeys(model for stage in stages for model in wanted.of(stage).models()))


def planned(dataset: str, experiment: str) -> list[StageInstance]:
    """What an experiment uses on a data set, inputs first.

    Raises:
        Refused: a file of this pair is left out, no file describes it, or nobody asked for it; says what asks for it,
            and which pairs there are.
    """
    plan = read_plan()
    plan.experiments.named(experiment)
    plan.datasets.named(dataset)
    instances = plan.instances
    used = in_use(instances, dataset, experiment)
    if not used:
        for file in plan.left_out:
            if file.path.name == ASKED:  # the pair may stand in it
                raise Refused(str(file))
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
