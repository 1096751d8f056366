"""What others have made, brought from the shared store, with a line for each asset. Without Dagster."""

from assets.framework.stage import StageInstance
from pipelines.commands.terminal import console
from pipelines.graph.load import read_plan
from pipelines.graph.sharing import wanted
from pipelines.graph.state import states_of
from resources.store import demand_shared_store
from storage.files import StoreError
from storage.remote.bucket import RemoteDamagedError, RemoteError
from storage.remote.store import SharedStore


def pull(dataset: str | None, experiment: str | None) -> int:
    """Bring what the project's keys mean, for the assets of this home that are not ready.

    Args:
        dataset: only its assets; None: of all.
        experiment: only what it uses; None: everything that is asked for here.

    Returns:
        How many assets were refused, since they are damaged.

    Raises:
        Refused: no shared store is set, or nobody asked for the experiment.
        RemoteError: the shared store cannot be asked; what came before stays here.
    """
    store = demand_shared_store()
    instances = wanted(read_plan(), dataset, experiment)
    states = states_of(instances, store)
    counts: dict[str, int] = {}
    for instance in instances:
        ready = states[instance.key].state == "ready"
        fate, told = ("ready", "is ready") if ready else _pulled(store, instance)
        counts[fate] = counts.get(fate, 0) + 1
        if not ready:
            console.print(f"{'/'.join(instance.key)} {told}")
    store.remote.wake()
    console.print(", ".join(f"{count} {fate}" for fate, count in counts.items()) or "nothing is asked for here")
    return counts.get("refused", 0)


def _pulled(store: SharedStore, instance: StageInstance) -> tuple[str, str]:
    """What became of an asset, in a word for the sum and in words for its line."""
    try:
        ref = store.remote.shared.resolve(instance.key)
        if ref is None:
            return "not there", "is not in the shared store"
        if (ref.stage, ref.planned) != (instance.stage.name, instance.recipe):
            return "of other settings", "is in the shared store as made with other settings"
        size = store.pull(ref, own=instance.own_recipe)
    except RemoteDamagedError as error:
        return "refused", f"was refused: {error}"
    except RemoteError:
        raise
    except StoreError as error:  # of this home: an object that is damaged, above all
        return "refused", f"could not be taken: {error}"
    if size is None:
        return "not there", "has a key in the shared store, and no object; push it from where it was made"
    return ("pulled", f"came: {size / 1e6:.2f} MB") if size else ("set", "was here under another key")
