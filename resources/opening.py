"""The one way to open a file that someone else made: a regular file or a reason, and never a wait."""

from __future__ import annotations

import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

from ops.refusal import Refused

LONGEST_PATH = 300
"""Characters of a path in a message."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_file(path: Path) -> BufferedReader:
    """Open a regular file, or a link to one, for reading.

    The kind is asked of the open file, so that nothing can be put in its place in between; a pipe is not waited for.

    Raises:
        Refused: it is missing, no regular file (a folder, pipe, socket, device), or may not be read. The message names
            the file by its last part, so that it is the same on every machine.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as problem:
        advice = f"put it into {path.parent.name}/" if path.parent.name else "name a file that is there"
        raise Refused(f"{path.name} is missing; {advice}") from problem
    except PermissionError as problem:
        raise Refused(f"{path.name} may not be read by this user; give it read permission (chmod +r)") from problem
    except (OSError, ValueError) as problem:  # ValueError: a name with a NUL
        raise Refused(f"{path.name!r} can not be opened ({getattr(problem, 'strerror', None) or problem})") from problem
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise Refused(f"{path.name} is {_KINDS.get(kind, 'no regular file')}; a regular file is wanted")
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def require_folder(path: Path, advice: str) -> None:
    """Refuse what is no folder, or whose files can not be reached.

    Raises:
        Refused: says why, and the advice.
    """
    try:
        is_folder = stat.S_ISDIR(os.stat(os.path.join(path, ".")).st_mode)  # noqa: PTH116, PTH118  a Path drops the dot
    except (FileNotFoundError, NotADirectoryError):
        is_folder = False
    except (OSError, ValueError) as problem:  # ValueError: a name with a NUL
        why = getattr(problem, "strerror", None) or problem
        raise Refused(f"{shortened(path)} can not be reached ({why}); {advice}") from problem
    if not is_folder:
        raise Refused(f"{shortened(path)} is no folder; {advice}")


def shortened(path: Path) -> str:
    """A path as a message names it."""
    text = str(path)
    return text if len(text) <= LONGEST_PATH else f"{text[:LONGEST_PATH]}..."


def digest_of(path: Path) -> str:
    """Hex SHA-256 of a regular file's bytes.

    Raises:
        Refused: as in `open_file`.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(path: Path, *, at_most: int | None = None) -> bytes:
    """All bytes of a regular file.

    Args:
        path: the file.
        at_most: refuse a longer file.

    Raises:
        Refused: as in `open_file`, longer than `at_most` bytes, or it broke off while it was read.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if at_most is not None and size > at_most:
            raise Refused(f"{path.name} has {size:,} bytes, more than {at_most:,}; check that it is the right file")
        try:
            return file.read()
        except OSError as problem:
            raise Refused(f"{path.name} can not be read ({problem.strerror}); copy it again") from problem
