"""What may be deleted from a store: objects that no key means, and work that nobody resumes.

Runs go on beside a collection. One collection deletes at a time; it deletes what it holds the locks of, so nothing that
a run makes or reads; and whatever vanishes while it looks is not its business any more.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from storage.files import TEMPORARY, StoreError, entries_below, explain, make_folder, subfolders, write_bytes
from storage.index import forget_manifests
from storage.locks import attempted, exclusive, is_free
from storage.manifest import MANIFEST
from storage.refs import read_ref, ref_files


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """What was deleted, or what would be in a dry run."""

    objects: tuple[Path, ...]
    """Finished artifacts that no key means."""
    partials: tuple[Path, ...]
    """Unfinished work that no process holds."""
    size: int
    """Bytes of both."""


MARKER = "WORDMASK_STORE"
"""File that a store has since it was made; in a folder without it nothing is deleted."""
MARK = b"Signature: wordmask-store\n# wordmask keeps artifacts in this folder and deletes in it what no asset means.\n"
_TRASHED = re.compile("[0-9a-f]{32}")
_WORK = frozenset({"content", "scratch", "forced", "pulled"})
"""In the folder of unfinished work."""
PATIENCE_SECONDS = 3600.0
"""Longest wait for another collection."""


@dataclass(frozen=True)
class _Extent:
    """What a folder holds."""

    size: int
    touched: float
    """When something in it changed last, in seconds since 1970."""


def mark_store(root: Path, *, log: Callable[[str], None]) -> None:
    """Say that a folder is a store: a new one, or one that is older than the mark."""
    if not (root / MARKER).exists():
        if (root / "objects").is_dir():
            log(f"{root} is taken for a store of an earlier version of wordmask; {MARKER} in it says so from now on")
        write_bytes(root / MARKER, MARK)


def find_garbage(root: Path, *, min_age: timedelta, dry_run: bool, log: Callable[[str], None]) -> Garbage:
    """List, and unless `dry_run` delete, what `Store.collect_garbage` describes.

    Raises:
        StoreError: the folder has no mark of a store, or a ref is damaged.
    """
    if dry_run:
        return _listed(root, min_age, log=log)
    if not (root / MARKER).is_file():
        raise StoreError(f"{root} has no {MARKER}, so nothing is deleted in it; a run makes it where it is a store")
    with exclusive(
        root / "locks" / ".garbage", timeout=PATIENCE_SECONDS, log=lambda _: log("another collection goes on")
    ):
        return _deleted(root, _listed(root, min_age, log=log), min_age)


def put_aside(root: Path, path: Path) -> Path:
    """Move a folder out of sight in one step, so that a kill never leaves half an object; says where it went."""
    trash = make_folder(root / "trash") / uuid4().hex
    with explain(path):
        path.replace(trash)
    return trash


def reading_lock(root: Path, path: Path) -> Path:
    """The lock that readers of an object share."""
    return root / "locks" / ".reading" / path.parent.name / path.name


def _listed(root: Path, min_age: timedelta, *, log: Callable[[str], None]) -> Garbage:
    meant = _meant(root)
    looks_made = {"objects": _is_object, "partial": _is_partial}
    objects: list[Path] = []
    partials: list[Path] = []
    size = 0
    for found, kind in ((objects, "objects"), (partials, "partial")):
        for path in (path for stage in _own_folders(root / kind, log=log) for path in subfolders(stage)):
            extent = _extent(path, log=log) if path not in meant and looks_made[kind](path) else None
            if extent is not None and _is_old(extent, min_age) and all(map(is_free, _locks(root, path))):
                found.append(path)
                size += extent.size
    return Garbage(objects=tuple(objects), partials=tuple(partials), size=size)


def _deleted(root: Path, garbage: Garbage, min_age: timedelta) -> Garbage:
    gone, size = set(), 0
    for path in (*garbage.objects, *garbage.partials):
        extent = _delete(root, path, min_age)
        if extent is not None:
            gone.add(path)
            size += extent.size
    for leftover in _own_folders(root / "trash", log=lambda _: None):  # itself stays: a run may put something there
        if _TRASHED.fullmatch(leftover.name):
            shutil.rmtree(leftover, ignore_errors=True)
    objects = tuple(path for path in garbage.objects if path in gone)
    forget_manifests(root, objects)
    return Garbage(objects=objects, partials=tuple(path for path in garbage.partials if path in gone), size=size)


def _delete(root: Path, path: Path, min_age: timedelta) -> _Extent | None:
    """Delete a folder that is still garbage; what it held, or None where it stays or is gone already."""
    with _holding(root, path) as held:
        extent = _extent(path, log=lambda _: None) if held and path not in _meant(root) else None
        if extent is None or not _is_old(extent, min_age):  # taken up since the listing
            return None
        shutil.rmtree(put_aside(root, path), ignore_errors=True)
        return extent


def _own_folders(folder: Path, *, log: Callable[[str], None]) -> list[Path]:
    """The folders in a folder of the store; none where it is a link, which may lead to what is not the store's."""
    if folder.is_symlink():
        log(f"{folder} is a link: what lies behind it stays")
        return []
    return subfolders(folder)


def _is_object(folder: Path) -> bool:
    return os.path.lexists(folder / MANIFEST)


def _is_partial(folder: Path) -> bool:
    """Whether a folder holds what `Slot` puts there, and nothing of anybody else."""
    try:
        return all(path.name in _WORK or path.name.endswith(TEMPORARY) for path in folder.iterdir())
    except OSError:
        return True  # what may not be looked into is told of by `_extent`


@contextmanager
def _holding(root: Path, path: Path) -> Iterator[bool]:
    """Whether the locks of a folder could be had, all at once and without a wait."""
    with ExitStack() as stack:
        yield all(stack.enter_context(attempted(lock)) for lock in _locks(root, path))


def _locks(root: Path, path: Path) -> tuple[Path, Path]:
    return root / "locks" / path.parent.name / path.name, reading_lock(root, path)


def _meant(root: Path) -> frozenset[Path]:
    """Every object that a key means; `StoreError` when a ref does not say which."""
    try:
        refs = [read_ref(root, path) for path in ref_files(root)]
    except StoreError as error:
        raise StoreError(f"{error} Nothing was deleted; then collect again.") from error
    return frozenset(ref.object_in(root) for ref in refs if ref)


def _extent(path: Path, *, log: Callable[[str], None]) -> _Extent | None:
    """None where it is gone, or may not be looked into."""
    size, touched = 0, 0.0
    try:
        touched = path.stat().st_mtime
        for entry in entries_below(path):
            try:
                stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            size += stat.st_size if entry.is_file(follow_symlinks=False) else 0
            touched = max(touched, stat.st_mtime)
    except FileNotFoundError:
        return None
    except (StoreError, OSError) as error:
        log(f"{path} stays: {error}")
        return None
    return _Extent(size=size, touched=touched)


def _is_old(extent: _Extent, min_age: timedelta) -> bool:
    return time.time() - extent.touched >= min_age.total_seconds()
