"""Run an experiment from a terminal: the same job that the UI launches, in this process, with readable progress."""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from rich.console import Console

from assets.stage import StageInstance
from pipelines.jobs import job_name
from resources.store import PROJECT, home
from storage.artifact import Artifact, Store, StoreError

console = Console()


def dagster_home() -> Path:
    """The persistent Dagster instance folder, made with the template on first use, and named in the environment."""
    folder = home() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        shutil.copyfile(PROJECT / "resources" / "dagster.yaml", settings)
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def run_experiment(dataset: str, experiment: str, *, force: bool = False) -> bool:
    """Materialize everything that `experiment` uses on `dataset`; True when all steps succeeded.

    Raises:
        ValueError: there is no such pair; the message lists those that exist.
    """
    from pipelines.definitions import build_defs, load_plan

    dagster_home()
    pairs = sorted({(instance.dataset, name) for instance in load_plan() for name in instance.used_by})
    if (dataset, experiment) not in pairs:
        known = ", ".join(f"{name} on {data}" for data, name in pairs)
        raise ValueError(f"experiment {experiment} is not planned on data set {dataset}; planned: {known}")
    job = build_defs(loggers={"console": terminal_logger}).resolve_job_def(job_name(dataset, experiment))
    config = {"resources": {"runtime": {"config": {"force": force}}}} if force else {}
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=config)
    for event in result.all_events:
        if event.is_step_failure:
            console.print(f"[red]{event.step_key} failed:[/red] {failure_reason(event)}")
    return result.success


def failure_reason(event: dg.DagsterEvent) -> str:
    """The innermost message of a failed step."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no reason was recorded"


def stored(instance: StageInstance, store: Store) -> Artifact | None:
    """The artifact that the instance's key means now, if there is one."""
    try:
        return store.resolve(instance.key)
    except StoreError:
        return None


def state_of(instance: StageInstance, store: Store) -> str:
    """`ready` (made by the planned recipe), `stale` (made by another) or `missing`."""
    artifact = stored(instance, store)
    if artifact is None:
        return "missing"
    return "ready" if artifact.manifest.recipe["planned"] == instance.recipe else "stale"


def in_use(instances: Sequence[StageInstance], dataset: str, experiment: str) -> list[StageInstance]:
    """The instances of one experiment on one data set, inputs first."""
    return [one for one in instances if one.dataset == dataset and experiment in one.used_by]


class _StageLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", None) or {}
        step = (meta.get("step_key") or "").rpartition("__")[2]
        event = meta.get("dagster_event")
        if event is None and record.levelno >= logging.INFO:
            console.print(f"[cyan]{step:>18}[/cyan]  {meta.get('orig_message', record.getMessage())}", highlight=False)


def _terminal_logger(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger("wordmask.terminal")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [_StageLines()]
    return logger


terminal_logger = dg.LoggerDefinition(
    _terminal_logger, description="One line per message of a stage; Dagster's own events stay in the UI."
)
