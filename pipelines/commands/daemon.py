"""Dagster's daemon, which ends with `wordmask ui`.

python -m pipelines.commands.daemon <process id of the parent>

Where hosts share a database, one of their daemons works; the others wait, and one takes over when it is gone.
"""

import os
import sys
import threading
from typing import TYPE_CHECKING

from pipelines.commands.code_server import workspace_file
from pipelines.graph.instance import history
from resources.database import claim, database_address, wait_while_held
from resources.processes import end_with_parent, keep_private

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

GRACE_SECONDS = 15.0


def main(parent: int) -> None:
    """Run schedules, sensors and queued runs until the process is stopped."""
    end_with_parent(parent, grace_seconds=GRACE_SECONDS)
    keep_private()
    if address := database_address():
        connection = claim(address, "daemon", _tell)
        threading.Thread(target=_begin_anew_without, args=(connection, parent), daemon=True).start()
    from dagster._daemon.cli import main as dagster_daemon

    from pipelines.commands.alive import end_dead_runs

    with history() as instance:
        end_dead_runs(instance, of_pages=True)  # of pages that were killed: they would keep new ones waiting
    sys.argv[1:] = ["run", "-w", str(workspace_file())]
    dagster_daemon()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _begin_anew_without(connection: "Connection", parent: int) -> None:
    """Become a daemon that waits, as soon as another one may have begun."""
    wait_while_held(connection)
    os.execv(sys.executable, [sys.executable, "-m", __spec__.name, str(parent)])  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]))
