"""Which assets a push or a pull is about."""

from assets.framework.stage import StageInstance
from pipelines.graph.load import Plan, in_use


def wanted(plan: Plan, dataset: str | None, experiment: str | None) -> list[StageInstance]:
    """The instances of a data set and an experiment, either of which may be left open; inputs first.

    Raises:
        Refused: there is no such data set or experiment, or nobody asked for it.
    """
    if dataset is not None and experiment is not None:
        return plan.of(dataset, experiment)
    if dataset is not None:
        plan.datasets.named(dataset)
        return [one for one in plan.instances if one.dataset == dataset]
    if experiment is not None:
        plan.experiments.named(experiment)
        return [one for name in plan.datasets for one in in_use(plan.instances, name, experiment)]
    return list(plan.instances)
