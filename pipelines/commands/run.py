"""Run an experiment from a terminal: the same job that the UI launches, in this process, with readable progress."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from uuid import uuid4

import dagster as dg

from assets.framework.stage import StageInstance
from ops.refusal import Refused
from pipelines.commands.alive import ending_dead_runs, forget_owner, owned
from pipelines.commands.display import BLOCKED, RunDisplay, terminal_logger
from pipelines.commands.stopping import stoppable
from pipelines.commands.terminal import coloured, console, say
from pipelines.graph.build import build_job
from pipelines.graph.instance import history
from pipelines.graph.load import leading_to
from resources.checkpoints import MISSING
from resources.database import history_kept

WRAPPERS = ("Dagster", "RetryRequested")
"""How the errors begin that wrap a stage's own."""


def run_planned(
    instances: Sequence[StageInstance],
    dataset: str,
    experiment: str,
    *,
    until: str | None = None,
    **runtime: bool | int | str,
) -> bool:
    """Materialize what an experiment uses; True when all steps succeeded.

    Args:
        instances: all that the experiment uses, or a part that needs no other.
        dataset: its name.
        experiment: its name.
        until: only this stage and what it needs.
        runtime: settings of `resources.runtime.Runtime`.

    Raises:
        Refused: a model is missing, or the database of runs does not serve.
        RunStopped: a person stopped it.
    """
    wanted = leading_to(until, instances)
    demand_models(wanted, experiment)
    display = RunDisplay(len(wanted))
    job = build_job(instances, dataset, experiment, loggers={"console": terminal_logger(display, _waits)})
    config: dict[str, object] = {
        "loggers": {"console": {}},  # a logger that is not named here stays silent
        "resources": {"runtime": {"config": runtime}},
    }
    run_id = str(uuid4())
    with (
        history_kept(),
        owned() as owner,
        history(copies_output=False) as instance,
        ending_dead_runs(instance),
        stoppable(instance, run_id, cleanup=partial(forget_owner, owner)),
        display.drawn(),
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
