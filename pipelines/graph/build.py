"""From the plan to Dagster's definitions: assets of every stage instance, jobs, automation and resources.

Nothing that this module reaches imports torch or spaCy.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import dagster as dg

from assets.framework.asset_factory import build_stage_asset
from assets.framework.stage import StageInstance
from ops.refusal import Refused
from pipelines.config.dataset_files import remember
from pipelines.config.described import LeftOut
from pipelines.escaping import as_markdown, escaped
from pipelines.graph.automation import automations
from pipelines.graph.jobs import experiment_job, experiment_jobs, job_name
from pipelines.graph.load import Plan, read_plan
from pipelines.graph.maintenance import MAINTENANCE
from pipelines.graph.page_assets import page_assets, with_links
from pipelines.graph.pretraining import pretraining_assets
from resources.dagster_resources import ArtifactStore, RuntimeResource
from resources.paths import home
from resources.store import sharing, store_folder
from storage.files import StoreError

LEFT_OUT = "left_out"
"""Group of the files that are broken."""


def build_defs(instances: Sequence[StageInstance] | None = None) -> dg.Definitions:
    """All that Dagster shows of a plan; None: of all that is asked for, with broken files and the embedded models."""
    plan = _present_plan() if instances is None else None
    planned = plan.instances if plan else instances or ()
    sensors, schedules = automations(plan.automated if plan else planned)
    runnable = _runnable(planned)
    runnable["assets"] = [with_links(asset) for asset in (*runnable["assets"], *page_assets(planned))]
    if plan:
        runnable["assets"] += [*_left_out(plan.left_out), *pretraining_assets()]
    return dg.Definitions(
        **runnable,
        jobs=[*experiment_jobs(planned), *MAINTENANCE],
        sensors=sensors,
        schedules=schedules,
    )


def _present_plan() -> Plan:
    """The plan, which is remembered: what the pages have shown keeps its owner."""
    plan = read_plan()
    if not home().is_dir():  # no one has experiments of their own
        return plan
    with suppress(StoreError, Refused):  # pages open on a full disk, too, and name what is broken
        remember(plan.arrivals)
    return plan


def build_job(
    instances: Sequence[StageInstance], dataset: str, experiment: str, loggers: Mapping[str, dg.LoggerDefinition]
) -> dg.JobDefinition:
    """The job of one experiment alone, from the instances it uses; the same that stands in `build_defs`."""
    job = experiment_job(dataset, experiment, instances)
    defs = dg.Definitions(**_runnable(instances), jobs=[job], loggers=loggers)
    return defs.resolve_job_def(job_name(dataset, experiment))


def _left_out(files: Sequence[LeftOut]) -> list[dg.AssetSpec]:
    """Broken files as assets that nothing makes: each stands in the graph with its error for a description."""
    return [
        dg.AssetSpec(
            key=[LEFT_OUT, f"{re.sub('[^A-Za-z0-9]+', '_', file.path.stem)}_{number}"],
            group_name=LEFT_OUT,
            description=f"{as_markdown(str(file))}\n\nMend the file and reload the definitions.",
            metadata={"file": dg.MetadataValue.path(escaped(str(file.path)))},
        )
        for number, file in enumerate(files, 1)
    ]


def _runnable(instances: Sequence[StageInstance]) -> dict[str, Any]:
    """Assets with all that they run on."""
    return {
        "assets": [build_stage_asset(instance) for instance in instances],
        "resources": {
            "store": ArtifactStore(root=str(store_folder()), sharing=sharing()),
            "runtime": RuntimeResource(),
        },
        "executor": dg.multiprocess_executor.configured(
            {
                "max_concurrent": 2,
                "start_method": {"forkserver": {"preload_modules": ["pipelines.definitions"]}},
            }
        ),
    }
