"""What a run would find, copy and compute, as a table for the terminal. Without Dagster."""

from collections.abc import Iterator, Sequence

from rich.console import Group

from ops.training.plan import rising_too_long
from pipelines.commands.terminal import folding
from pipelines.commands.wanted import variants
from pipelines.graph.forecast import Forecast, forecasts
from pipelines.graph.load import possible
from resources.store import open_store

UNKNOWN = "unknown"


def plan_table(
    dataset: str,
    experiment: str,
    *,
    until: str | None = None,
    settings: Sequence[str] = (),
    suite: str | None = None,
) -> Group:
    """Of each stage whether it is ready, lies in the store or is computed, and what that costs by past runs.

    Arguments and errors are those of `pipelines.commands.wanted.wanted_runs`; nothing is written.
    """
    runs = variants(dataset, experiment, until=until, settings=settings, suite=suite)
    turned = [(new.settled.model_copy(update={"name": new.name}), end) for _, new, end in runs]
    found = forecasts(possible(dataset, turned), open_store())
    table = folding("asset", "a run will", "units", "time", "MB", "judged by")
    for one in found:
        table.add_row("/".join(one.instance.key), *_cells(one))
    return Group(table, *_doubts(found), _summary(found))


def _doubts(found: Sequence[Forecast]) -> Iterator[str]:
    """What is odd about trainings whose steps are known from past runs."""
    for one in found:
        warmup = getattr(one.instance.knobs, "warmup_steps", 0)
        if one.fate == "compute" and one.instance.stage.trains and one.units:
            yield from (f"{'/'.join(one.instance.key)}: {doubt}" for doubt in rising_too_long(warmup, one.units))


def _cells(one: Forecast) -> tuple[str, ...]:
    if one.fate != "compute":
        return ("do nothing: ready" if one.fate == "ready" else "find it in the store", "", "", "", "")
    what = f"compute; up to {one.copied} units are copied" if one.copied else "compute"
    units = UNKNOWN if one.units is None else str(one.units)
    return what, units, _time(one.seconds), _megabytes(one.megabytes), one.judged_by


def _summary(found: Sequence[Forecast]) -> str:
    computed = [one for one in found if one.fate == "compute"]
    if not computed:
        return "nothing is left to compute"
    times = [one.seconds for one in computed if one.seconds is not None]
    sizes = [one.megabytes for one in computed if one.megabytes is not None]
    least = "at least " if len(times) < len(computed) or len(sizes) < len(computed) else ""
    cost = f"{_time(sum(times))} and {_megabytes(sum(sizes))} MB by past runs" if times else "for an unknown time"
    return f"{len(computed)} of {len(found)} stages are computed: {least if times else ''}{cost}"


def _time(seconds: float | None) -> str:
    """Seconds, minutes or hours, whichever is a handy number."""
    if seconds is None:
        return UNKNOWN
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _megabytes(size: float | None) -> str:
    return UNKNOWN if size is None else f"{size:.1f}" if size >= 0.1 else "<0.1"
