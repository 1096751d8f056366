"""Dagster's daemon, which ends with `wordmask ui`.

python -m pipelines.commands.daemon <process id of the parent>
"""

import sys

from pipelines.graph.instance import history
from resources.paths import PROJECT
from resources.processes import end_with_parent, keep_private

GRACE_SECONDS = 15.0


def main(parent: int) -> None:
    """Run schedules, sensors and queued runs until the process is stopped."""
    end_with_parent(parent, grace_seconds=GRACE_SECONDS)
    keep_private()
    from dagster._daemon.cli import main as dagster_daemon

    from pipelines.commands.run import end_dead_runs

    with history() as instance:
        end_dead_runs(instance)  # of pages that were killed: they would keep new ones waiting
    sys.argv[1:] = ["run", "-w", str(PROJECT / "workspace.yaml")]
    dagster_daemon()


if __name__ == "__main__":
    main(int(sys.argv[1]))
