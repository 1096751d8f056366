"""The plan as files ask for it: every stage instance, and those of one experiment. Without Dagster."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assets.framework.stage import AssetPath, StageInstance
from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.dataset_files import ASKED, PlannedDataset, read_both
from pipelines.config.described import Described, LeftOut, unknown
from pipelines.config.experiment_files import Experiment, read_experiments
from pipelines.config.yaml_files import SHIPPED, experiment_folders
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

    @property
    def arrivals(self) -> dict[str, list[str]]:
        """Data set -> experiments that are run on it, as they came."""
        return {
            name: [one.name for one in data.run_here(self.experiments.values())] for name, data in self.datasets.items()
        }

    @property
    def automated(self) -> list[StageInstance]:
        """What automation may launch, inputs first.

        On a person's own data sets all of the graph; on those that ship only what was asked for since.
        """
        return [
            one
            for one in self.instances
            if not self.datasets.paths[one.dataset].is_relative_to(SHIPPED)
            or not set(self.datasets[one.dataset].asked).isdisjoint(one.used_by)
        ]

    def of(self, dataset: str, experiment: str) -> list[StageInstance]:
        """What an experiment uses on a data set, inputs first.

        Raises:
            Refused: a file of this pair is left out, no file describes it, or nobody asked for it; says what asks for
                it, and which pairs there are.
        """
        self.experiments.named(experiment)
        self.datasets.named(dataset)
        used = in_use(self.instances, dataset, experiment)
        if used:
            return used
        for file in self.left_out:
            if file.path.name == ASKED:  # the pair may stand in it
                raise Refused(str(file))
        pairs = sorted({(instance.dataset, name) for instance in self.instances for name in instance.used_by})
        raise Refused(
            f"experiment {experiment} was not asked for on data set {dataset}: "
            f"`wordmask run -d {dataset} -e {experiment}` does so and runs it. "
            f"Asked for were {', '.join(f'{name} on {data}' for data, name in pairs)}"
        )


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
    return list(read_plan(experiments=experiments, datasets=datasets).instances)


def read_plan(*, experiments: Sequence[Path] | None = None, datasets: Sequence[Path] | None = None) -> Plan:
    """The plan, as `load_plan`, and the broken files that were left out of it."""
    sound, known = read_both(experiments, datasets)
    planned: dict[Shared, StageInstance] = {}
    unplanned: dict[str, str] = {}
    identified = cache(identify)  # files of weights stay as they are while a plan is made
    for name, dataset in known.items():
        for experiment in dataset.run_here(sound.values()):  # the first owns what it shares with later ones
            if experiment.name not in unplanned:
                try:
                    planned |= with_pair(planned, (name, dataset.source, experiment), STAGES, identified)
                except (Refused, OSError) as problem:  # weights that can not be looked at
                    unplanned[experiment.name] = str(problem)
    return Plan(sound.without(unplanned), known, tuple(planned.values()))


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
    """What an experiment uses on a data set, inputs first; raises as `Plan.of`."""
    return read_plan().of(dataset, experiment)


def possible(dataset: str, experiments: Iterable[tuple[Experiment, str | None]]) -> list[StageInstance]:
    """What experiments use on a data set, each until a stage, or would use if they were asked for; inputs first.

    Raises:
        Refused: no file describes the data set, it was left out, or an experiment does not use the stage.
    """
    plan = read_plan()
    source = plan.datasets.named(dataset).source
    known = {(instance.dataset, instance.recipe): instance for instance in plan.instances}
    used: dict[Shared, StageInstance] = {}
    identified = cache(identify)
    for experiment, until in experiments:
        mine = with_pair(known, (dataset, source, experiment), STAGES, identified)
        known |= mine
        used |= {(dataset, one.recipe): one for one in leading_to(until, list(mine.values()))}
    return list(used.values())


def in_use(instances: Sequence[StageInstance], dataset: str, experiment: str) -> list[StageInstance]:
    """The instances of one experiment on one data set, inputs first."""
    return [instance for instance in instances if instance.dataset == dataset and experiment in instance.used_by]


def require_stage(name: str, among: Iterable[str] = STAGES) -> None:
    """Refuse a stage that is not there, with what it may have meant."""
    known = list(among)
    if name not in known:
        complaint = "there is no stage here that is called" if name in STAGES else "no stage is called"
        raise Refused(unknown(complaint, name, known, f"stages: {', '.join(known)}"))


def leading_to(stage: str | None, instances: Sequence[StageInstance]) -> list[StageInstance]:
    """A stage and all it needs, inputs first; everything where no stage is named.

    Raises:
        Refused: no instance is of that stage.
    """
    if stage is None:
        return list(instances)
    require_stage(stage, (instance.stage.name for instance in instances))
    wanted: set[AssetPath] = set()
    for instance in reversed(instances):  # readers come after their inputs
        if instance.stage.name == stage or instance.key in wanted:
            wanted |= {instance.key, *instance.inputs.values()}
    return [instance for instance in instances if instance.key in wanted]
