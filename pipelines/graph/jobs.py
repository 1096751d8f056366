"""One job per data set and experiment: all that the experiment uses, shared stages included (those are cache hits)."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.framework.stage import StageInstance, group_name

UnresolvedJob = Any
"""What `dagster.define_asset_job` returns; Dagster does not export its type."""


def job_name(dataset: str, experiment: str) -> str:
    """The name of an experiment's job: that of the group of its own assets."""
    return group_name(dataset, experiment)


def experiment_jobs(instances: Sequence[StageInstance]) -> list[UnresolvedJob]:
    """Launchable from Jobs in the UI; always right, whatever is already there."""
    grouped: dict[tuple[str, str], list[StageInstance]] = {}
    for instance in instances:
        for experiment in instance.used_by:
            grouped.setdefault((instance.dataset, experiment), []).append(instance)
    return [experiment_job(*pair, used) for pair, used in grouped.items()]


def experiment_job(dataset: str, experiment: str, instances: Sequence[StageInstance]) -> UnresolvedJob:
    """The job of one experiment on one data set, given the instances it uses."""
    return dg.define_asset_job(
        job_name(dataset, experiment),
        selection=dg.AssetSelection.assets(*(dg.AssetKey(list(instance.key)) for instance in instances)),
        description=f"All that experiment {experiment} uses on {dataset}; what is up to date is only looked up.",
    )
