"""Whether a shared store is set and can be reached, and what is still to be sent there."""

from ops.refusal import Refused
from resources.doctor import Check
from resources.network import offline
from resources.store import settled, shared_store, store_folder

TOPIC, NOT_SET = "shared store", "not set"
GUIDE = "docs/shared_store.md"


def shared_store_check() -> Check:
    """One line for `wordmask doctor` and `status`; takes a few seconds at most."""
    try:
        sharing = settled()
    except Refused as problem:
        return Check(topic=TOPIC, verdict="bad", found=str(problem), advice=f"{GUIDE} shows one")
    if not sharing.remote:
        return Check(topic=TOPIC, verdict="good", found=NOT_SET, advice=f"{GUIDE} says how results are shared")
    if (name := offline()) and "://" in sharing.remote:
        return Check(topic=TOPIC, verdict="note", found=f"not asked, since {name} is set")
    remote = shared_store(store_folder(), sharing).remote
    owed = len(remote.unsent())
    advice = f"{owed} results are not there yet: `wordmask push`" if owed else ""
    if reason := remote.shared.problem():
        advice = "; ".join(filter(None, ["runs go on without it", advice, f"see {GUIDE}"]))
        return Check(topic=TOPIC, verdict="bad", found=reason, advice=advice)
    found = f"{remote.shared.bucket.url}, project {sharing.project}: reachable"
    return Check(topic=TOPIC, verdict="note" if owed else "good", found=found, advice=advice)
