"""A run that would find everything as the last one left it: told without Dagster, which takes seconds to load."""

import json
from collections.abc import Sequence
from pathlib import Path

from assets.framework.stage import StageInstance
from pipelines.commands.terminal import console
from pipelines.graph.instance import instance_folder
from pipelines.graph.state import states_of
from resources.store import open_store
from storage.digest import digest
from storage.files import write_bytes


def is_unchanged(wanted: Sequence[StageInstance]) -> bool:
    """Whether the last run of a terminal made or found just these artifacts, and all of them are up to date; says so.

    What came otherwise, such as from a shared store, is not in Dagster's history yet: a run puts it there.
    """
    found = _artifacts(wanted)
    path = _note(wanted)
    if found is None or not path.exists() or path.read_bytes() != found:
        return False
    console.print(f"{len(wanted)} stages are up to date; nothing to compute")
    return True


def remember(wanted: Sequence[StageInstance]) -> None:
    """Note what a run that succeeded made or found."""
    if (found := _artifacts(wanted)) is not None:
        write_bytes(_note(wanted), found)


def _artifacts(wanted: Sequence[StageInstance]) -> bytes | None:
    """The artifact of every stage; None where one of them is not up to date."""
    states = states_of(wanted, open_store())
    ready = {
        "/".join(key): state.artifact.manifest.fingerprint
        for key, state in states.items()
        if state.state == "ready" and state.artifact
    }
    return json.dumps(ready, sort_keys=True).encode() if len(ready) == len(wanted) else None


def _note(wanted: Sequence[StageInstance]) -> Path:
    return instance_folder() / "finished" / f"{digest(sorted('/'.join(one.key) for one in wanted))}.json"
