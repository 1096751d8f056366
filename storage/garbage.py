"""What may be deleted from a store: objects that no key means, and work that nobody resumes."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from storage.files import StoreError, explain, make_folder, write_bytes
from storage.locks import exclusive, is_free


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """What was found, and deleted unless the call was a dry run."""

    objects: tuple[Path, ...]
    """Finished artifacts that no key means."""
    partials: tuple[Path, ...]
    """Unfinished work that no process holds."""
    size: int
    """Bytes of both."""


MARKER = "WORDMASK_STORE"
"""File that a store has since it was made; in a folder without it nothing is deleted."""
MARK = b"Signature: wordmask-store\n# wordmask keeps artifacts in this folder and deletes in it what no asset means.\n"


def mark_store(root: Path, *, log: Callable[[str], None]) -> None:
    """Say that a folder is a store: a new one, or one that is older than the mark."""
    if not (root / MARKER).exists():
        if (root / "objects").is_dir():
            log(f"{root} is taken for a store of an earlier version of wordmask; {MARKER} in it says so from now on")
        write_bytes(root / MARKER, MARK)


def find_garbage(root: Path, *, min_age: timedelta, dry_run: bool) -> Garbage:
    """List, and unless `dry_run` delete, what `Store.collect_garbage` describes.

    Raises:
        StoreError: the folder has no mark of a store, or a ref is damaged.
    """
    if not dry_run and not (root / MARKER).is_file():
        raise StoreError(f"{root} has no {MARKER}, so nothing is deleted in it; a run makes it where it is a store")
    meant = _meant(root)
    objects = tuple(path for path in _entries(root, "objects") if path not in meant and _idle(root, path, min_age))
    partials = tuple(path for path in _entries(root, "partial") if _idle(root, path, min_age))
    garbage = Garbage(objects=objects, partials=partials, size=sum(_size(path) for path in (*objects, *partials)))
    if not dry_run:
        for path in (*objects, *partials):
            _delete(root, path)
        shutil.rmtree(root / "trash", ignore_errors=True)
    return garbage


def put_aside(root: Path, path: Path) -> Path:
    """Move a folder out of sight in one step, so that a kill never leaves half an object; says where it went."""
    trash = make_folder(root / "trash") / uuid4().hex
    with explain(path):
        path.replace(trash)
    return trash


def _delete(root: Path, path: Path) -> None:
    with exclusive(_lock(root, path), timeout=60.0):
        if path not in _meant(root):  # a key may have been pointed at it since the listing
            shutil.rmtree(put_aside(root, path), ignore_errors=True)


def _meant(root: Path) -> set[Path]:
    meant = set()
    for path in (root / "refs").rglob("*.json"):
        try:
            ref = json.loads(path.read_bytes())
            meant.add(root / "objects" / ref["stage"] / ref["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is damaged ({error}); delete it or materialize its key, then collect again."
            ) from error
    return meant


def _entries(root: Path, kind: str) -> list[Path]:
    return [path for path in sorted((root / kind).glob("*/*")) if path.is_dir()]


def _idle(root: Path, path: Path, min_age: timedelta) -> bool:
    newest = max((entry.stat().st_mtime for entry in (path, *path.rglob("*")) if entry.exists()), default=0.0)
    return time.time() - newest >= min_age.total_seconds() and is_free(_lock(root, path))


def _lock(root: Path, path: Path) -> Path:
    return root / "locks" / path.parent.name / path.name


def _size(path: Path) -> int:
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
