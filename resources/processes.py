"""What every process begins with: its files are for its user alone, and it ends with the one that started it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOOK_SECONDS = 0.5
"""Between two looks whether the parent is still there."""


def keep_private() -> int:
    """From here on, files that this process and its children make are 0600 and folders 0700; the umask before."""
    return os.umask(0o077)


@contextmanager
def for_others(umask: int) -> Iterator[None]:
    """Write with another umask: what a person takes away is as open as they want it."""
    private = os.umask(umask)
    try:
        yield
    finally:
        os.umask(private)


def end_with_parent(parent: int, *, grace_seconds: float = 0.0) -> None:
    """End this process soon after the one that started it is gone, even if that was killed or is gone already.

    Args:
        parent: its process id, from itself.
        grace_seconds: with any, the process is interrupted first, as by Ctrl+C, and has so long to end in its own way.
    """
    if (
        grace_seconds and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # as a shell hands on to what it leaves behind
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_watch, args=(parent, grace_seconds), daemon=True).start()


def _watch(parent: int, grace_seconds: float) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    if grace_seconds:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(grace_seconds)
    os._exit(1)
