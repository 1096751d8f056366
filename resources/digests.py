"""Digests of weights: of a file, remembered beside it; of a folder; and what a card says of the file beside it."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from ops.refusal import Refused
from resources.embedded.cards import CARD
from resources.model_files import read_json
from storage.files import sha256_of


def remembered_digest(path: Path) -> str:
    """The SHA-256 of a file, hashed once for each size, modification time and inode.

    Raises:
        OSError: the file may not be read.
    """
    stat = path.stat()
    memory = path.with_name(path.name + ".sha256.json")
    seen = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino}
    with contextlib.suppress(Refused, KeyError):
        remembered = read_json(memory)
        if {key: remembered[key] for key in seen} == seen:
            return str(remembered["sha256"])
    digest = sha256_of(path)
    with contextlib.suppress(OSError):  # a read-only folder only costs the time to hash again
        partial = memory.with_name(f"{memory.name}.{os.getpid()}")
        partial.write_text(json.dumps({**seen, "sha256": digest}), encoding="utf-8")
        partial.replace(memory)
    return digest


def git_digest(path: Path) -> str:
    """The digest that git itself has of a small file."""
    return blob_digest(path.read_bytes())


def blob_digest(content: bytes) -> str:
    """The digest that git has of a file's content: SHA-1 over its length and its bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def folder_digest(folder: Path) -> str:
    """Over everything that makes the embedded model of a folder; the card's date and scores do not."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CARD)
    lines = [f"{path.relative_to(folder).as_posix()} {sha256_of(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def recorded_digest(card: Path) -> str | None:
    """What a card says of the weights beside it; None where it says nothing."""
    with contextlib.suppress(Refused, KeyError):
        return str(read_json(card)["sha256"])
    return None
