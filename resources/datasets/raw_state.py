"""What the raw data on disk are now: their fingerprint, remembered under what the file system says of every file.

As long as size, times and inode of all files and folders are what they were, nothing is read again; what decodes images
is imported only when something changed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.refusal import Refused
from resources.datasets import open_dataset
from resources.datasets.records import READER_VERSION, DatasetConfig
from resources.opening import read_file
from resources.paths import home
from resources.processes import for_others
from storage.digest import digest
from storage.files import StoreError, write_bytes

AT_REST_SECONDS = 2.0
"""What changed later than this may change again within one tick of the file system's clock, unseen."""
Stamps = dict[str, list[int] | None]
"""Path -> size, time of modification, time of change, inode; None: it is not there."""


class RawDataGone(Refused):
    """The folder of a data set is not where its file says."""


def current_fingerprint(config: DatasetConfig, memory: Path) -> str:
    """The fingerprint of the raw data as they lie there now.

    Args:
        config: which data.
        memory: file that remembers it; it need not exist, and none that can not be written only costs time.

    Raises:
        RawDataGone: the folder is not there.
        Refused: the data can not be read.
    """
    if not os.path.isdir(_folder(config)):  # noqa: PTH112  Path.is_dir raises where a folder above may not be read
        raise RawDataGone(f"{_folder(config)} is not there")
    known = remembered_fingerprint(config, memory)
    return hashed_fingerprint(config, memory) if known is None else known


def remembered_fingerprint(config: DatasetConfig, memory: Path) -> str | None:
    """The fingerprint, where the file system says of everything what it said when that was made; reads no data."""
    known = _read(memory)
    if known.get("config") == _described(config) and known["stamps"] == stamps_of(known["stamps"]):
        return str(known["fingerprint"])
    return None


def memory_of(dataset: str) -> Path:
    """The file that remembers the fingerprint of a data set."""
    return home() / "raw_data" / f"{dataset}.json"


def stamps_of(paths: Iterable[str]) -> Stamps:
    """What the file system says of files and folders."""
    return {path: _stamp(path) for path in paths}


def hashed_fingerprint(config: DatasetConfig, memory: Path) -> str:
    """Read everything, and remember what came out if nothing moved meanwhile.

    Raises:
        Refused: the data can not be read.
    """
    began = time.time()
    dataset = open_dataset(config)
    before = stamps_of(_places(config, dataset.files()))
    fingerprint = dataset.fingerprint()
    newest = max((stamp[1:3] for stamp in before.values() if stamp), default=[0, 0])
    if stamps_of(before) == before and max(newest) < (began - AT_REST_SECONDS) * 1e9:
        page = {"config": _described(config), "stamps": before, "fingerprint": fingerprint}
        with for_others(0o077), suppress(StoreError):  # private, also while a command writes for its person
            write_bytes(memory, json.dumps(page).encode())
    return fingerprint


def _places(config: DatasetConfig, files: Iterable[Path]) -> list[str]:
    """The files, and the folders in which another file would change what is read."""
    paths = list(files)
    own = {config.root, _folder(config), config.root / "mask", *(path.parent for path in paths)}
    within = {folder.relative_to(config.root) for folder in own if folder.is_relative_to(config.root)}
    within |= {
        above for folder in within for above in folder.parents
    }  # of a folder that may yet appear, in any letters
    among = (config.root / place / folder for place in ("", "images") for folder in within)
    return sorted({os.fspath(path) for path in (*paths, *own, *among)})


def _folder(config: DatasetConfig) -> Path:
    """The folder without which there are no data."""
    return config.root / config.name if config.kind in ("refer", "toyref") else config.root


def _stamp(path: str) -> list[int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  twenty thousand of them, without a Path each
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _described(config: DatasetConfig) -> str:
    return digest([READER_VERSION, _plain(config)])


def _plain(config: DatasetConfig) -> dict[str, Any]:
    return {**asdict(config), "root": str(config.root), "split_map": dict(config.split_map)}


def _read(memory: Path) -> Mapping[str, Any]:
    """What is remembered; nothing, where the page is damaged or absent."""
    try:
        page = json.loads(read_file(memory))
    except (Refused, ValueError, RecursionError):
        return {}
    whole = isinstance(page, dict) and isinstance(page.get("stamps"), dict) and "fingerprint" in page
    return page if whole else {}
