"""What may be deleted from the store of this home, or from the shared one, and its deletion."""

from dataclasses import replace
from datetime import timedelta

from pipelines.commands.terminal import console
from resources.store import demand_shared_store, open_store
from storage.remote.garbage import collect

LISTED = 50
"""Lines; the sum is always whole."""
DAYS, REMOTE_DAYS = 1.0, 30.0
"""What was touched, or written to the shared store, since then stays."""


def collect_garbage(*, remote: bool, delete: bool, days: float | None) -> None:
    """List what no key means, and delete it where that was asked for.

    Args:
        remote: in the shared store, where the keys of all projects count.
        delete: not only list.
        days: what is younger stays; None: one day, in the shared store thirty.

    Raises:
        Refused: no shared store is set.
        StoreError: a key is damaged, or there is no mark of a store; nothing was deleted.
    """
    age = timedelta(days=days if days is not None else REMOTE_DAYS if remote else DAYS)
    if remote:
        bucket = demand_shared_store().remote.shared.bucket
        found = collect(bucket, min_age=age, dry_run=not delete, log=console.print)
        names, size = [*map(str, found.objects), *found.leftovers], found.size
    else:
        garbage = replace(open_store(), log=console.print).collect_garbage(not delete, min_age=age)
        names = [f"{path.parent.name} {path.name}" for path in garbage.objects]
        names += [f"{path.parent.name} {path.name} (unfinished)" for path in garbage.partials]
        size = garbage.size
    for name in names[:LISTED]:
        console.print(name)
    if len(names) > LISTED:
        console.print(f"and {len(names) - LISTED} more")
    verb = "deleted" if delete else "would be deleted; --delete deletes them"
    console.print(f"{len(names)} results and leftovers, {size / 1e6:.1f} MB: {verb}")
