"""What may be deleted from a shared store: objects that no project's key means, and files that no page names.

Nobody holds locks there. What is young stays, since somebody may be sending it or about to share its key; a page goes
before its files; and what a collection takes away under a reader's eyes is computed again, never half believed.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from storage.files import StoreError, safe_part
from storage.manifest import MANIFEST
from storage.refs import parse_ref
from storage.remote.bucket import AT_ONCE, Bucket, Entry, RemoteDamagedError
from storage.remote.objects import LARGEST_MARK, MARK, MARKER, Place, place_of, read_page
from storage.remote.shared import LARGEST_REF

_REF = re.compile(r"refs/([^/]+)/(.+)\.json")


@dataclass(frozen=True, kw_only=True)
class RemoteGarbage:
    """What was deleted from a shared store, or what would be in a dry run."""

    objects: tuple[Place, ...]
    """That no key of any project means."""
    leftovers: tuple[str, ...]
    """Files of unfinished uploads, and of results that came second."""
    size: int
    """Bytes of both."""


def collect(
    bucket: Bucket, *, min_age: timedelta, dry_run: bool = True, log: Callable[[str], None] = lambda _: None
) -> RemoteGarbage:
    """List, and unless `dry_run` delete, what no project needs.

    Args:
        bucket: the shared store.
        min_age: what was written within this time, by the stamps of the bucket, stays; and of an object all files
            stay when one of them was.
        dry_run: only list.
        log: told what stays although it is old.

    Raises:
        RemoteError: the bucket cannot be asked, has no mark of a shared store, or a ref in it is damaged; nothing was
            deleted in the latter two cases.
    """
    if bucket.read(MARKER, at_most=LARGEST_MARK) != MARK:
        raise RemoteDamagedError(f"there is no {MARKER} of wordmask's, so nothing is deleted; a push makes it")
    found: dict[Place, list[Entry]] = {}
    for entry in bucket.entries("objects/"):
        if place := place_of(entry.name):
            found.setdefault(place, []).append(entry)
    meant = _meant(bucket)  # after the list: what was sent since then is young
    since = datetime.now(UTC) - min_age
    old = {place: files for place, files in found.items() if all(one.modified < since for one in files)}
    objects = sorted(place for place in old if place not in meant)
    leftovers = [one for place in sorted(old) if place in meant for one in _unnamed(bucket, place, old[place], log)]
    leftovers += [one for one in bucket.abandoned("objects/") if one.modified < since]
    doomed = [one for place in objects for one in _page_first(old[place])] + leftovers
    gone = [one for one in doomed if dry_run or bucket.delete(one.name)]
    names = {one.name for one in gone}
    return RemoteGarbage(
        objects=tuple(place for place in objects if any(one.name in names for one in old[place])),
        leftovers=tuple(one.name for one in leftovers if one.name in names),
        size=sum(one.size for one in gone),
    )


def _meant(bucket: Bucket) -> frozenset[Place]:
    """Every object that a key of any project means."""
    names = [entry.name for entry in bucket.entries("refs/")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return frozenset(filter(None, pool.map(lambda name: _meant_by(bucket, name), names)))


def _meant_by(bucket: Bucket, name: str) -> Place | None:
    """Of one ref; None where it went away meanwhile."""
    content = bucket.read(name, at_most=LARGEST_REF)
    if content is None:
        return None
    try:
        parts = _REF.fullmatch(name)
        if parts is None:
            raise ValueError("it has no name of a ref")
        ref = parse_ref(content, tuple(safe_part(part) for part in parts[2].split("/")))
    except (ValueError, StoreError) as error:
        raise RemoteDamagedError(
            f"{name} is damaged ({error}), so nothing was deleted; push its key again, or delete it by hand"
        ) from error
    return Place(ref.stage, ref.fingerprint)


def _unnamed(bucket: Bucket, place: Place, files: list[Entry], log: Callable[[str], None]) -> Iterator[Entry]:
    """Files of an object that a key means which its page does not name."""
    try:
        page = read_page(bucket, place)
    except RemoteDamagedError as error:
        log(f"{place} stays: {error}")
        return
    if page is not None:  # without one it may be on its way again
        needed = {MANIFEST, *page.sizes}
        yield from (one for one in files if one.name.removeprefix(place.prefix) not in needed)


def _page_first(files: list[Entry]) -> list[Entry]:
    return sorted(files, key=lambda one: not one.name.endswith(f"/{MANIFEST}"))
