"""What this machine has made, sent to the shared store, with a line for each asset. Without Dagster."""

from pipelines.commands.terminal import console
from pipelines.graph.load import read_plan
from pipelines.graph.sharing import wanted
from resources.store import demand_shared_store
from storage.files import StoreError
from storage.remote.bucket import RemoteError
from storage.remote.store import Sent

TOLD: dict[Sent, str] = {
    "sent": "is in the shared store",
    "taken over": "was in the shared store as another result; it lies here now, too",
    "kept": "is in the shared store as another result; a run reads this one, so both stay: push again",
}


def push(dataset: str | None, experiment: str | None, *, replacing: bool = False) -> int:
    """Send what the keys of this home mean, and the keys; what is there already is only looked up.

    Args:
        dataset: only its assets; None: of all.
        experiment: only what it uses; None: everything.
        replacing: put these results in the place of others that were there first.

    Returns:
        How many assets could not be sent.

    Raises:
        Refused: no shared store is set, or nobody asked for the experiment.
        RemoteError: the shared store cannot be asked; what was sent before stays there.
    """
    store = demand_shared_store()
    asked = None if experiment is None else {one.key for one in wanted(read_plan(), dataset, experiment)}
    failed = sent = 0
    for key in store.refs():
        if key[0] != (dataset or key[0]) or (asked is not None and key not in asked):
            continue
        name = "/".join(key)
        try:
            result = store.push(key, replacing=replacing)
            console.print(f"{name} {TOLD[result]}")
            sent += 1
        except RemoteError:
            raise
        except StoreError as error:
            console.print(f"{name} was not sent: {error}")
            failed += 1
    store.remote.wake()
    console.print(f"{sent} assets are in {store.remote.shared.url}" + (f"; {failed} are not" if failed else ""))
    return failed
