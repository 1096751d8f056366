"""One job per data set and experiment: all that the experiment uses, shared stages included (those are cache hits)."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.framework.stage import StageInstance


def job_name(dataset: str, experiment: str) -> str:
    """The name of an experiment's job, and of the group of its own assets."""
    return f"{dataset}__{experiment}"


def members(instances: Sequence[StageInstance]) -> dict[tuple[str, str], list[StageInstance]]:
    """(data set, experiment) -> the instances it uses, inputs first."""
    grouped: dict[tuple[str, str], list[StageInstance]] = {}
    for instance in instances:
        for experiment in instance.used_by:
            grouped.setdefault((instance.dataset, experiment), []).append(instance)
    return grouped


def experiment_jobs(instances: Sequence[StageInstance]) -> list[UnresolvedAssetJobDefinition]:
    """Launchable from Jobs in the UI; always right, whatever is already there."""
    return [
        dg.define_asset_job(
            job_name(dataset, experiment),
            selection=dg.AssetSelection.assets(*(dg.AssetKey(list(instance.key)) for instance in used)),
            description=f"All that experiment {experiment} uses on {dataset}; what is up to date is only looked up.",
        )
        for (dataset, experiment), used in members(instances).items()
    ]
