"""Dagster's pages and its daemon, started together and stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from ops.refusal import Refused
from pipelines.graph.instance import instance_folder
from resources.paths import PROJECT, home

PATIENCE_SECONDS = 15.0
"""How long a process may take to end in its own way."""


class Stopped(Exception):  # noqa: N818  what a person did
    """The person ended the pages."""


def open_pages(host: str, port: int) -> None:
    """Serve the pages on an address of this machine, with the daemon beside them, until a person stops them.

    Both end when this process does, however it ends; a run that goes on is Dagster's, and is finished.

    Raises:
        Refused: Dagster could not work in the home folder, or the port is taken.
    """
    environment = {**os.environ, "DAGSTER_HOME": str(instance_folder()), "WORDMASK_HOME": str(home())}
    _require_free(host, port)
    commands = (
        [sys.executable, "-m", "pipelines.commands.webserver", host, str(port), str(os.getpid())],
        [sys.executable, "-m", "pipelines.commands.daemon", str(os.getpid())],
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    processes = [subprocess.Popen(command, cwd=PROJECT, env=environment) for command in commands]
    try:
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
    except Stopped:
        pass
    finally:
        _end(processes)


def _stop(_: int, __: FrameType | None) -> None:
    raise Stopped


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            raise Refused(f"port {port} of {host} is taken ({problem}): choose another with --port") from problem


def _end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask every process to end, and make those end that do not."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=PATIENCE_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait()
