"""Dagster's pages, in place of this process."""

import os
import signal
import sys
from pathlib import Path

from pipelines.graph.instance import instance_folder
from resources.paths import PROJECT, home


def open_pages(port: int) -> None:
    """Become `dagster dev` on the loopback address; does not return.

    Raises:
        Refused: Dagster could not work in the home folder.
    """
    os.environ["DAGSTER_HOME"] = str(instance_folder())
    os.environ["WORDMASK_HOME"] = str(home())  # relative to where the person is, which is left below
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    program = str(Path(sys.executable).with_name("dagster"))
    os.chdir(PROJECT)
    os.execv(program, [program, "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)])  # noqa: S606
