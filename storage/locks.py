"""Locks between processes that the kernel drops when their holder dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.files import StoreError, explain, make_folder

POLL_SECONDS = 0.2


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
    make_folder(path.parent)
    with explain(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _wait(descriptor, path, timeout=timeout, log=log)
        with explain(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock at this moment."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        return _try(descriptor)
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
    told = False
    while not _try(descriptor):
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        if time.monotonic() >= deadline:
            raise StoreError(
                f"Process {holder} still holds {path} after {timeout:.0f} s; wait for it or end it, then run again."
            )
        if not told:
            log(f"waiting for process {holder}, which is making {path.parent.name} {path.name}")
            told = True
        time.sleep(POLL_SECONDS)
