"""Run an experiment from a terminal: the same job that the UI launches, in this process, with readable progress."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from uuid import uuid4

import dagster as dg

from assets.framework.stage import AssetPath, StageInstance
from ops.refusal import Refused
from pipelines.commands.alive import ending_dead_runs, forget_owner, owned
from pipelines.commands.stopping import stoppable
from pipelines.commands.terminal import coloured, console, say
from pipelines.config.dataset_files import ask_for
from pipelines.graph.build import build_job
from pipelines.graph.instance import history
from pipelines.graph.load import leading_to, planned
from resources.checkpoints import MISSING
from resources.database import history_kept
from resources.datasets import open_dataset

WRAPPERS = ("Dagster", "RetryRequested")
"""How the errors begin that wrap a stage's own."""
BLOCKED = "blocked by limit for pool"
"""What Dagster says of a step that waits for a slot of its pool."""
ENOUGH_TO_TRAIN = 300
"""Expressions from which on a published network learns more than it forgets [I]."""


def run_experiment(
    dataset: str, experiment: str, *, until: str | None = None, train: bool = False, **runtime: bool | int | str
) -> bool:
    """Materialize everything that `experiment` uses on `dataset`; True when all steps succeeded.

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
    return run_planned(instances, dataset, experiment, until=until, **runtime)


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


def run_planned(
    instances: Sequence[StageInstance],
    dataset: str,
    experiment: str,
    *,
    until: str | None = None,
    **runtime: bool | int | str,
) -> bool:
    """`run_experiment`, given all instances that the experiment uses."""
    wanted = leading_to(until, instances)
    demand_models(wanted, experiment)
    job = build_job(instances, dataset, experiment, loggers={"console": terminal_logger(len(wanted))})
    config: dict[str, object] = {
        "loggers": {"console": {}},  # a logger that is not named here stays silent
        "resources": {"runtime": {"config": runtime}},
    }
    run_id = str(uuid4())
    with (
        history_kept(),
        owned() as owner,
        history() as instance,
        ending_dead_runs(instance),
        stoppable(instance, run_id, cleanup=partial(forget_owner, owner)),
    ):
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            raise_on_error=False,
            run_config=config,
            tags=owner,
            asset_selection=[dg.AssetKey(list(stage.key)) for stage in wanted],
        )
    _print_failures(result)
    return result.success


def demand_models(wanted: Sequence[StageInstance], experiment: str) -> None:
    """Refuse to begin what would end at a stage whose model is not there; says which are missing, all at once."""
    known = {name: identity for instance in wanted for name, identity in instance.models.items()}
    if missing := [name for name, identity in known.items() if identity == MISSING]:
        raise Refused(
            f"{len(missing)} of the models that {experiment} names are not there ({', '.join(missing)}): "
            f"`wordmask models get --for {experiment}` fetches them"
        )


def _print_failures(result: dg.ExecuteInProcessResult) -> None:
    """What checks found and why steps failed."""
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed:
                name = "/".join(check.asset_key.path)
                say(f"{name}:", str(check.description), "yellow")
        if event.is_step_failure:
            console.print(coloured(f"{event.step_key} failed:", "red"), failure_reason(event))


def failure_reason(event: dg.DagsterEvent) -> str:
    """What a stage said when it failed: the first error below those of Dagster itself."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None and (error.cls_name or "").startswith(WRAPPERS):
        error = error.cause
    return error.message.strip() if error is not None else "no reason was recorded"


def holder(instance: dg.DagsterInstance, pool: str, own: str) -> str:
    """The run that a run waits for, as a person finds it in the pages.

    Args:
        instance: knows both.
        pool: whose slot is taken.
        own: id of the run that waits.
    """
    others = instance.event_log_storage.get_concurrency_info(pool).active_run_ids - {own}
    record = instance.get_run_record_by_id(min(others)) if others else None
    if record is None:  # it has left meanwhile
        return "another run"
    run, began = record.dagster_run, record.create_timestamp.astimezone()
    return f"run {run.run_id[:8]} of {run.job_name}, begun at {began:%H:%M},"


def _waits(own: str, blocked: str) -> str:
    pool = blocked.rpartition(f"{BLOCKED} ")[2]
    whom = "another run"
    with suppress(Exception), history() as instance:  # a line of the log is not worth a failure
        whom = holder(instance, pool, own)
    return f"waits for {whom} to leave the pool {pool}"


class _StageLines(logging.Handler):
    """A line for each message of a stage, which says how far the run is."""

    def __init__(self, stages: int) -> None:
        super().__init__()
        self._stages = stages
        self._begun: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", None) or {}
        step, event = meta.get("step_key") or "", meta.get("dagster_event")
        place = self._begun.setdefault(step, len(self._begun) + 1) if step else 0
        title = f"stage {place:>2} of {self._stages} {step.rpartition('__')[2]}:" if step else "run:"
        if event is None and record.levelno >= logging.INFO:
            say(title, str(meta.get("orig_message", record.getMessage())), "cyan")
        elif event is not None and BLOCKED in (event.message or ""):
            say(title, _waits(str(meta.get("run_id")), str(event.message)), "cyan")


def terminal_logger(stages: int) -> dg.LoggerDefinition:
    """Lines of a run of so many stages; Dagster's own events stay in the UI."""

    def logger(_: dg.InitLoggerContext) -> logging.Logger:
        made = logging.getLogger("wordmask.terminal")
        made.setLevel(logging.DEBUG)  # Dagster tells of its events so
        made.propagate = False
        made.handlers = [_StageLines(stages)]
        return made

    return dg.LoggerDefinition(logger, description="One line per message of a stage.")
