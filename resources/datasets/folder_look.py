"""A cheap look at the folder of a data set: whether anything moved there, without opening a file.

It sees what names, sizes and times of change tell. `resources.datasets.raw_state` says what the data are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.raw_state import RawDataGone
from resources.datasets.records import DatasetConfig

MOST_ENTRIES = 500_000
"""Files and folders beyond which a look takes seconds and is refused."""
REFER_FOLDERS = ("images", "mask")
"""What a set in the refer layout reads beside its own folder."""


def folder_look(config: DatasetConfig) -> str:
    """Digest of path, size and time of modification of every file that lies in the data set's folder.

    Files and folders whose names begin with a dot do not count. A link to a folder is followed, once.

    Raises:
        RawDataGone: the folder is not there.
        Refused: a folder in it may not be read, or there are more than `MOST_ENTRIES`.
    """
    lines = sorted(
        f"{entry.path}\0{size}\0{modified}" for folder in _folders(config) for entry, size, modified in _files(folder)
    )
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:24]


def _folders(config: DatasetConfig) -> list[Path]:
    """Where to look; the first has to be there."""
    refer = config.kind in ("refer", "toyref")
    first = config.root / config.name if refer else config.root
    if not os.path.isdir(first):  # noqa: PTH112  Path.is_dir raises where a folder above may not be read
        raise RawDataGone(f"{first} is not there")
    beside = [config.root / name for name in REFER_FOLDERS] if refer else []
    return [first, *(folder for folder in beside if os.path.isdir(folder))]  # noqa: PTH112  as above


def _files(top: Path) -> Iterator[tuple[os.DirEntry[str], int, int]]:
    """Every file below a folder, with its size in bytes and its time of modification in nanoseconds."""
    waiting, seen, entries = [os.fspath(top)], {_identity(top)}, 0
    while waiting:
        for entry in _entries(waiting.pop()):
            entries += 1
            if entries > MOST_ENTRIES:
                raise Refused(f"more than {MOST_ENTRIES:,} files lie in {top}, too many to look at again and again")
            if entry.is_dir():
                if (identity := _identity(entry.path)) not in seen:
                    seen.add(identity)
                    waiting.append(entry.path)
            elif (found := _stat(entry)) is not None:
                yield entry, found.st_size, found.st_mtime_ns


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder and does not hide; nothing where it was removed meanwhile."""
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise Refused(
            f"{folder} may not be read ({problem.strerror}); give it read permission (chmod +rx)"
        ) from problem


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None: it is gone, or a link that leads nowhere."""
    try:
        return entry.stat()
    except OSError:
        return None


def _identity(folder: str | Path) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)  # noqa: PTH116  many of them, without a Path each
    except OSError:
        return None
    return found.st_dev, found.st_ino
