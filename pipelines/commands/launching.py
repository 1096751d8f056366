"""An experiment is asked to run: what of it is wanted, and whether anything is left to do, told without Dagster."""

from collections.abc import Sequence

from assets.framework.stage import AssetPath, StageInstance
from pipelines.commands.terminal import console
from pipelines.commands.unchanged import is_unchanged, remember
from pipelines.config.dataset_files import ask_for
from pipelines.graph.load import leading_to, planned
from resources.datasets import open_dataset

ENOUGH_TO_TRAIN = 300
"""Expressions from which on a published network learns more than it forgets [I]."""


def run_experiment(
    dataset: str, experiment: str, *, until: str | None = None, train: bool = False, **runtime: bool | int | str
) -> bool:
    """Materialize everything that `experiment` uses on `dataset`; True when all steps succeeded, or none was needed.

    A pair that nobody asked for before is part of the graph from then on.

    Args:
        dataset: its name.
        experiment: its name.
        until: only this stage and what it needs.
        train: published towers are trained even on few expressions, see `untrained`.
        runtime: settings of `resources.runtime.Runtime`.

    Raises:
        Refused: there is no such experiment, data set or stage; the message lists those that exist.
        RunStopped: a person stopped it.
    """
    if ask_for(dataset, [experiment]):
        console.print(f"{experiment} on {dataset} is part of the graph from now on")
    instances = planned(dataset, experiment)
    if not train and until is None:
        instances = without_vain_training(instances, dataset, experiment)
    wanted = leading_to(until, instances)
    if not runtime.get("force") and is_unchanged(wanted):
        return True
    from pipelines.commands.run import run_planned  # brings Dagster

    succeeded = run_planned(instances, dataset, experiment, until=until, **runtime)
    if succeeded:
        remember(wanted)
    return succeeded


def without_vain_training(instances: Sequence[StageInstance], dataset: str, experiment: str) -> list[StageInstance]:
    """The stages without the trainings of published towers, and what needs them, where there is too little to learn."""
    kept = untrained(instances)
    if len(kept) == len(instances) or (found := _expressions(instances[0])) >= ENOUGH_TO_TRAIN:
        return list(instances)
    console.print(
        f"{found} expressions are too few to train a network of millions of parameters on; {ENOUGH_TO_TRAIN} would do. "
        f"The run ends with the choices. `wordmask run -d {dataset} -e {experiment} --train` trains all the same."
    )
    return kept


def untrained(instances: Sequence[StageInstance]) -> list[StageInstance]:
    """Those that need no network with published towers to be trained, inputs first."""
    without: set[AssetPath] = set()
    for instance in instances:
        trains = instance.stage.trains and getattr(instance.knobs, "size", "embedded") != "embedded"
        if trains or not without.isdisjoint(instance.inputs.values()):
            without.add(instance.key)
    return [instance for instance in instances if instance.key not in without]


def _expressions(instance: StageInstance) -> int:
    """Expressions of a folder of a person's own; published sets are large."""
    config = instance.source.config
    return len(open_dataset(config).corpus().expressions) if config.kind == "folder" else ENOUGH_TO_TRAIN
