"""From the plan to Dagster's definitions: assets of every stage instance, jobs, automation and resources.

Nothing that this module reaches imports torch or spaCy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.framework.asset_factory import build_stage_asset
from assets.framework.stage import StageInstance
from pipelines.graph.automation import automations
from pipelines.graph.jobs import experiment_job, experiment_jobs, job_name
from pipelines.graph.load import load_plan
from pipelines.graph.maintenance import MAINTENANCE
from resources.dagster_resources import ArtifactStore, RuntimeResource
from resources.store import store_folder


def build_defs(instances: Sequence[StageInstance] | None = None) -> dg.Definitions:
    """All that Dagster shows of a plan; None: of all that is asked for.

    Raises:
        Refused: a file of an experiment or a data set is wrong; the message names it.
    """
    planned = load_plan() if instances is None else instances
    sensors, schedules = automations(planned)
    return dg.Definitions(
        **_runnable(planned),
        jobs=[*experiment_jobs(planned), *MAINTENANCE],
        sensors=sensors,
        schedules=schedules,
    )


def build_job(
    instances: Sequence[StageInstance], dataset: str, experiment: str, loggers: Mapping[str, dg.LoggerDefinition]
) -> dg.JobDefinition:
    """The job of one experiment alone, from the instances it uses; the same that stands in `build_defs`."""
    job = experiment_job(dataset, experiment, instances)
    defs = dg.Definitions(**_runnable(instances), jobs=[job], loggers=loggers)
    return defs.resolve_job_def(job_name(dataset, experiment))


def _runnable(instances: Sequence[StageInstance]) -> dict[str, Any]:
    """Assets with all that they run on."""
    return {
        "assets": [build_stage_asset(instance) for instance in instances],
        "resources": {"store": ArtifactStore(root=str(store_folder())), "runtime": RuntimeResource()},
        "executor": dg.multiprocess_executor.configured(
            {
                "max_concurrent": 2,
                "start_method": {"forkserver": {"preload_modules": ["pipelines.definitions"]}},
            }
        ),
    }
