"""Take a model out of the checkpoint folder, with what downloads left beside it; nothing that others put there."""

from __future__ import annotations

import shutil
from pathlib import Path

from ops.refusal import Refused
from resources.hub_layout import RECORD, listed, model_files, read_record
from resources.model_entries import Checkpoint

BESIDE = ("", ".partial", ".partial.json", ".lock", ".sha256.json")
"""A file's own name and those of what is kept beside it."""


def remove(checkpoint: Checkpoint, home: Path) -> list[Path]:
    """Delete a model's files; the paths that are gone.

    Raises:
        Refused: it comes with the project, lies outside the checkpoint folder, or was put there by hand as a folder.
    """
    if checkpoint.embedded:
        raise Refused(f"{checkpoint.name} comes with the project and is not removed")
    folder = home / checkpoint.path
    if not folder.resolve().is_relative_to(home.resolve()):
        raise Refused(f"{checkpoint.name} lies outside {home} and is not removed; delete it yourself")
    if checkpoint.is_of_a_hub:
        return [*_files(folder, _names(checkpoint, folder)), *_emptied(folder)]
    if checkpoint.layout == "spacy" and folder.is_dir():
        return _unpacked(folder)
    paths = [home / file.path for file in checkpoint.files]
    packed = [home / Path(checkpoint.archive).name] if checkpoint.archive else []
    return [gone for path in (*paths, *packed) for gone in _files(path.parent, [path.name])]


def _names(checkpoint: Checkpoint, folder: Path) -> list[str]:
    record = read_record(folder)
    found = [path.name for path in model_files(folder, checkpoint.layout)]
    return [*dict.fromkeys((*found, *(record.files if record else ()))), RECORD]


def _files(folder: Path, names: list[str]) -> list[Path]:
    there = listed(folder)
    gone = [folder / f"{name}{beside}" for name in names for beside in BESIDE if f"{name}{beside}" in there]
    for path in gone:
        path.unlink()
    return gone


def _emptied(folder: Path) -> list[Path]:
    """The folder itself, if nothing of others is left in it, and its lock."""
    lock = folder.with_name(f"{folder.name}.lock")
    lock.unlink(missing_ok=True)
    if not folder.is_dir() or any(folder.iterdir()):
        return []
    folder.rmdir()
    return [folder]


def _unpacked(folder: Path) -> list[Path]:
    if read_record(folder) is None:
        raise Refused(f"{folder} was put there by hand and is not removed; delete it yourself")
    shutil.rmtree(folder)
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
    return [folder]
