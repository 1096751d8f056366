"""The state of an experiment's stages, as a table for the terminal. Without Dagster."""

from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from pipelines.commands.listings import nowhere
from pipelines.commands.terminal import coloured, folding
from pipelines.graph.load import read_plan
from pipelines.graph.state import states_of
from resources.sharing_state import NOT_SET, shared_store_check
from resources.store import open_store

COUNTS = ("rows", "reused", "computed", "quarantined")


def status_table(dataset: str, experiment: str) -> Group:
    """Which stages are ready, stale or missing, with how many rows, and which files the graph has not.

    Raises:
        Refused: a file of this pair is left out, or nobody asked for it; says what asks for it.
    """
    plan = read_plan()
    instances = plan.of(dataset, experiment)
    states = states_of(instances, open_store())
    table = folding("asset", "state", *COUNTS)
    table.caption = (
        "reused: copied from an earlier run; computed: made in the last; quarantined: left out, with a reason"
    )
    for instance in instances:
        artifact = states[instance.key].artifact
        tallies = list(artifact.manifest.rows.values()) if artifact else []
        counts = [str(sum(getattr(tally, name) for tally in tallies)) for name in COUNTS]
        table.add_row("/".join(instance.key), str(states[instance.key]), *counts)
    own = nowhere(plan.experiments, plan.datasets)
    return Group(table, *_shared(), *own, *(coloured(f"left out: {file}", "red") for file in plan.left_out))


def _shared() -> Iterator[Text]:
    """Of the shared store, where one is set."""
    check = shared_store_check()
    if check.found != NOT_SET:
        line = f"shared store: {check.found}" + (f"; {check.advice}" if check.advice else "")
        yield coloured(line, "" if check.verdict == "good" else "yellow")
