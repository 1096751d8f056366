"""Locks between processes that the kernel drops when their holder dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.files import StoreError, explain, make_folder

POLL_SECONDS = 0.2
"""Between two looks at a lock that somebody holds; the first looks come sooner."""


@contextmanager
def exclusive(path: Path, *, timeout: float, log: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the lock named by a file; the file stays behind, the lock does not.

    Args:
        path: the lock's file, made when absent.
        timeout: seconds to wait for another holder.
        log: told once that there is a holder to wait for.

    Raises:
        StoreError: the wait was too long, or the file cannot be made.
    """
    with _opened(path) as descriptor:
        _wait(descriptor, path, timeout=timeout, log=log)
        with explain(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock together with others that share it; whoever has it alone only has it for an instant.

    Raises:
        StoreError: the file cannot be made.
    """
    with _opened(path) as descriptor:
        with explain(path):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def attempted(path: Path) -> Iterator[bool]:
    """Hold the lock if nobody else does; whether it is held.

    Raises:
        StoreError: the file cannot be made.
    """
    with _opened(path) as descriptor:
        yield _try(descriptor)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock at this moment; a lock that this user may not open is somebody's."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except PermissionError:
        return False
    try:
        return _try(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    make_folder(path.parent)
    with explain(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(descriptor: int, path: Path, *, timeout: float, log: Callable[[str], None]) -> None:
    deadline = time.monotonic() + timeout
    told, pause = False, POLL_SECONDS / 16
    while not _try(descriptor):
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        if time.monotonic() >= deadline:
            raise StoreError(
                f"Process {holder} still holds {path} after {timeout:.0f} s; wait for it or end it, then run again."
            )
        if not told and pause == POLL_SECONDS:  # not of one who only looks whether the lock is free
            log(f"waiting for process {holder}, which is making {path.parent.name} {path.name}")
            told = True
        time.sleep(pause)
        pause = min(2 * pause, POLL_SECONDS)
