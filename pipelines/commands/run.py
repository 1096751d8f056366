"""Run an experiment from a terminal: the same job that the UI launches, in this process, with readable progress."""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import dagster as dg
from rich.console import Console
from rich.markup import escape

from assets.framework.stage import AssetPath, StageInstance
from pipelines.config.dataset_files import ask_for
from pipelines.graph.jobs import job_name
from resources.paths import PROJECT, home
from storage.artifact import Artifact, Store, StoreError
from storage.files import write_bytes
from storage.locks import exclusive, is_free

console = Console()
OWNER = "wordmask/alive"
"""Tag of runs that live in a terminal's process: the name of a lock that it holds, which no other host, container or
later process with the same number can take for its own."""
WRAPPERS = ("Dagster", "RetryRequested")
"""How the errors begin that wrap a stage's own."""
BLOCKED = "blocked by limit for pool"
"""What Dagster says of a step that waits for a slot of its pool."""
TENDING_SECONDS = 15.0
"""How often a run looks whether the run that it waits for was killed."""


def dagster_home() -> Path:
    """The persistent Dagster instance folder, made with the template on first use, and named in the environment.

    Raises:
        ValueError: Dagster could not find its files there, for their path would be a pattern or an address.
    """
    folder = home() / "dagster"
    odd = sorted(set(str(folder)) & set("[]*?%"))
    if odd:
        raise ValueError(f"Dagster cannot work in {folder}: choose a WORDMASK_HOME without {' '.join(odd)}")
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists() or not settings.read_bytes():
        write_bytes(settings, (PROJECT / "resources" / "dagster.yaml").read_bytes())
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def run_experiment(dataset: str, experiment: str, *, until: str | None = None, **runtime: bool | int) -> bool:
    """Materialize everything that `experiment` uses on `dataset`; True when all steps succeeded.

    A pair that nobody asked for before is part of the graph from then on.

    Args:
        dataset: its name.
        experiment: its name.
        until: only this stage and what it needs.
        runtime: settings of `resources.runtime.Runtime`.

    Raises:
        ValueError: there is no such experiment, data set or stage; the message lists those that exist.
    """
    from pipelines.definitions import build_defs

    if ask_for(dataset, [experiment]):
        console.print(f"{experiment} on {dataset} is part of the graph from now on")
    wanted = leading_to(until, planned(dataset, experiment))
    dagster_home()
    job = build_defs(loggers={"console": terminal_logger}).resolve_job_def(job_name(dataset, experiment))
    config: dict[str, object] = {
        "loggers": {"console": {}},  # a logger that is not named here stays silent
        "resources": {"runtime": {"config": runtime}},
    }
    with owned() as owner, dg.DagsterInstance.get() as instance, tended(instance):
        result = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config=config,
            tags=owner,
            asset_selection=[dg.AssetKey(list(one.key)) for one in wanted],
        )
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed:
                name = "/".join(check.asset_key.path)
                console.print(f"[yellow]{escape(name)}:[/yellow] {escape(str(check.description))}")
        if event.is_step_failure:
            console.print(f"[red]{escape(event.step_key or '')} failed:[/red] {escape(failure_reason(event))}")
    return result.success


def leading_to(stage: str | None, instances: Sequence[StageInstance]) -> list[StageInstance]:
    """A stage and all it needs, inputs first; everything where no stage is named.

    Raises:
        ValueError: no instance is of that stage.
    """
    if stage is None:
        return list(instances)
    if stage not in {one.stage.name for one in instances}:
        raise ValueError(f"no stage is called {stage} here; stages: {', '.join(one.stage.name for one in instances)}")
    wanted: set[AssetPath] = set()
    for one in reversed(instances):  # readers come after their inputs
        if one.stage.name == stage or one.key in wanted:
            wanted |= {one.key, *one.inputs.values()}
    return [one for one in instances if one.key in wanted]


@contextmanager
def tended(instance: dg.DagsterInstance) -> Iterator[None]:
    """End dead runs at once and every `TENDING_SECONDS`: one may die while this run waits for its slot of a pool."""
    left = threading.Event()

    def tend() -> None:
        while not left.wait(TENDING_SECONDS):
            end_dead_runs(instance)

    end_dead_runs(instance)
    thread = threading.Thread(target=tend, daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Close runs whose terminal process was killed, and free the pool slots they hold; their run ids.

    Without this the next run would wait for a slot that nobody gives back.
    """
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    tagged = [run for run in instance.get_runs(filters=unfinished) if OWNER in run.tags]
    free = {run.run_id for run in tagged if is_free(_locks() / run.tags[OWNER])}
    dead = [run for run in instance.get_runs(filters=unfinished) if run.run_id in free]  # some ended meanwhile
    for run in dead:
        instance.report_run_canceled(run, message="its process is gone; what it finished is kept")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        (_locks() / run.tags[OWNER]).unlink(missing_ok=True)
    return [run.run_id for run in dead]


@contextmanager
def owned() -> Iterator[dict[str, str]]:
    """The tags of a run of this process, which holds the lock that they name; the kernel drops it with the process."""
    token = uuid4().hex
    with exclusive(_locks() / token, timeout=0.0):
        try:
            yield {OWNER: token}
        finally:
            (_locks() / token).unlink()


def _locks() -> Path:
    return home() / "dagster" / "alive"


def failure_reason(event: dg.DagsterEvent) -> str:
    """What a stage said when it failed: the first error below those of Dagster itself."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None and (error.cls_name or "").startswith(WRAPPERS):
        error = error.cause
    return error.message.strip() if error is not None else "no reason was recorded"


def stored(instance: StageInstance, store: Store) -> Artifact | None:
    """The artifact that the instance's key means now, if there is one."""
    return _resolved(instance.key, store)


def state_of(instance: StageInstance, store: Store) -> str:
    """`ready` (made by the planned recipe from its inputs as they are now), `stale` (it was not) or `missing`."""
    artifact = stored(instance, store)
    if artifact is None:
        return "missing"
    inputs = {name: _meant(key, store) for name, key in instance.inputs.items()}
    return "ready" if artifact.planned == instance.recipe and inputs == artifact.manifest.inputs else "stale"


def ready(instances: Sequence[StageInstance]) -> dict[str, Artifact]:
    """Stage name -> artifact, of the instances that are up to date."""
    store = Store(home() / "store")
    return {one.stage.name: store.resolve(one.key) for one in instances if state_of(one, store) == "ready"}


def in_use(instances: Sequence[StageInstance], dataset: str, experiment: str) -> list[StageInstance]:
    """The instances of one experiment on one data set, inputs first."""
    return [one for one in instances if one.dataset == dataset and experiment in one.used_by]


def planned(dataset: str, experiment: str) -> list[StageInstance]:
    """What an experiment uses on a data set, inputs first.

    Raises:
        ValueError: nobody asked for this pair; says what asks for it, and which pairs there are.
    """
    from pipelines.definitions import load_plan

    instances = load_plan()
    found = in_use(instances, dataset, experiment)
    if not found:
        pairs = sorted({(one.dataset, name) for one in instances for name in one.used_by})
        raise ValueError(
            f"experiment {experiment} was not asked for on data set {dataset}: "
            f"`wordmask run -d {dataset} -e {experiment}` does so and runs it. "
            f"Asked for were {', '.join(f'{name} on {data}' for data, name in pairs)}"
        )
    return found


def _resolved(key: AssetPath, store: Store) -> Artifact | None:
    try:
        return store.resolve(key)
    except StoreError:
        return None


def _meant(key: AssetPath, store: Store) -> str | None:
    artifact = _resolved(key, store)
    return artifact.manifest.fingerprint if artifact else None


class _StageLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", None) or {}
        step = (meta.get("step_key") or "").rpartition("__")[2]
        event = meta.get("dagster_event")
        if event is None and record.levelno >= logging.INFO:
            said = escape(str(meta.get("orig_message", record.getMessage())))
            console.print(f"[cyan]{step:>18}[/cyan]  {said}", highlight=False)
        elif event is not None and BLOCKED in (event.message or ""):
            console.print(f"[cyan]{step:>18}[/cyan]  waits for another run to leave its pool", highlight=False)


def _terminal_logger(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger("wordmask.terminal")
    logger.setLevel(logging.DEBUG)  # Dagster tells of its events so
    logger.propagate = False
    logger.handlers = [_StageLines()]
    return logger


terminal_logger = dg.LoggerDefinition(
    _terminal_logger, description="One line per message of a stage; Dagster's own events stay in the UI."
)
