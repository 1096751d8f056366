"""The state of an experiment's stages, as a table for the terminal. Without Dagster."""

from rich.table import Table

from pipelines.commands.terminal import folding
from pipelines.graph.load import planned
from pipelines.graph.state import states_of
from resources.store import open_store

COUNTS = ("rows", "reused", "computed", "quarantined")


def status_table(dataset: str, experiment: str) -> Table:
    """Which stages are ready, stale or missing, and with how many rows.

    Raises:
        Refused: nobody asked for this pair; says what asks for it, and which pairs there are.
    """
    instances = planned(dataset, experiment)
    states = states_of(instances, open_store())
    table = folding("asset", "state", *COUNTS)
    for instance in instances:
        artifact = states[instance.key].artifact
        tallies = list(artifact.manifest.rows.values()) if artifact else []
        counts = [str(sum(getattr(tally, name) for tally in tallies)) for name in COUNTS]
        table.add_row("/".join(instance.key), str(states[instance.key]), *counts)
    return table
