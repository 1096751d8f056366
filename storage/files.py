"""Files that are whole or absent, folder names that stay inside their root, and disk errors that say what to do."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO

TEMPORARY = ".writing"
"""Suffix of a file that is still being written; whoever finds one after a kill may delete it."""

_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@=,-]{0,126}")

_ADVICE = {
    errno.ENOSPC: "The disk is full: free space there, or choose another root",
    errno.EDQUOT: "The quota is used up: free space there, or choose another root",
    errno.EFBIG: "The file would pass the size limit of this disk or process: raise it, or choose another root",
    errno.EACCES: "Permission is missing: make the folder readable and writable for this user, or choose another root",
    errno.EPERM: "Permission is missing: make the folder readable and writable for this user, or choose another root",
    errno.EROFS: "The disk is read-only: choose another root",
    errno.ENOTDIR: "A file stands where a folder is needed: move it away, or choose another root",
    errno.EEXIST: "A file stands where a folder is needed: move it away, or choose another root",
    errno.EMFILE: "Too many files are open: raise the limit (`ulimit -n`)",
}


class StoreError(Exception):
    """The store cannot do what was asked; the message names the path and what to do next."""


@contextmanager
def explain(path: Path, *, act: str = "write") -> Iterator[None]:
    """Turn an `OSError` raised while writing (or what `act` says) `path` into a `StoreError` with advice."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Check the path and the disk, or choose another root")
        reason = error.strerror or str(error)
        raise StoreError(
            f"Cannot {act} {path}: {reason}. {advice}; the next run resumes from what is finished."
        ) from error


def make_folder(path: Path) -> Path:
    """Create a folder and its parents; `StoreError` when that is impossible."""
    with explain(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def entries_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, while others add and remove things there: what vanishes is left out.

    Links are listed and not followed; a folder comes before what it holds.

    Raises:
        StoreError: a folder may not be read.
    """
    waiting = [folder]
    while waiting:
        entries = _entries(waiting.pop())
        yield from entries
        waiting += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, links left out; none where it is missing. Raises as `entries_below` does."""
    return [folder / entry.name for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with explain(folder, act="read"):
        try:
            with os.scandir(folder) as found:
                return sorted(found, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under `path` only when the block ends well, and is then on the disk.

    Raises:
        StoreError: the disk refuses; `path` is as it was before.
    """
    make_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with explain(path):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a whole file or none; `StoreError` when the disk refuses."""
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def growing_file(path: Path, *, size: int = 0) -> Iterator[Callable[[bytes | memoryview], None]]:
    """Make a file piece by piece; yields what appends. Only the disk's own errors are its business, not those between.

    Args:
        path: what was there before is lost.
        size: bytes to take room for at once, so that a disk that is too small refuses before anything is computed.

    Raises:
        StoreError: the disk refuses; no file is left.
    """

    def append(content: bytes | memoryview) -> None:
        rest = memoryview(content).cast("B")
        with explain(path):
            while rest:
                rest = rest[os.write(descriptor, rest) :]

    with explain(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with explain(path):
            _reserve(descriptor, size)
        yield append
        with explain(path):
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size: int) -> None:
    """Take room on the disk; a file system that cannot tell is believed, and writing finds out."""
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise


def sync_folder(path: Path) -> None:
    """Make renames inside a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file that someone else wrote survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file, or a link to one; what else stands in its place is not waited for.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "It is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path) -> bytes:
    """All bytes of a regular file; `OSError` as in `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def read_if_there(path: Path) -> bytes | None:
    """All bytes of a regular file, None where nothing has that name; `OSError` as in `open_regular`."""
    try:
        return read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise
        return None


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a regular file's bytes; `OSError` as in `open_regular`."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_part(part: str) -> str:
    """Return `part` if it may name one folder or file of the store.

    Raises:
        StoreError: it is empty, hidden, too long, or holds a separator or another odd character.
    """
    if not _SAFE_PART.fullmatch(part):
        raise StoreError(
            f"{part!r} cannot name a folder of the store; use letters, digits and . _ + @ = , - (at most 127)."
        )
    return part
