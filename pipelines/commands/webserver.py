"""Dagster's pages, and those that wordmask writes, behind the guard: what `wordmask ui` starts beside the daemon.

python -m pipelines.commands.webserver <host> <port> <process id of the parent>
"""

import sys

import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from pipelines.commands.code_server import workspace_file
from pipelines.commands.guard import Guard
from pipelines.graph.instance import history
from pipelines.serving.written_pages import written_pages
from resources.processes import end_with_parent, keep_private

GRACE_SECONDS = 15.0
"""How long open pages may keep the server when it is asked to end."""


class GuardedWebserver(DagsterWebserver):  # type: ignore[type-arg]
    """Dagster's own server; nothing reaches it that the guard refuses."""

    def build_middleware(self) -> list[Middleware]:
        """The guard before all else."""
        return [Middleware(Guard), *super().build_middleware()]

    def build_routes(self) -> list[BaseRoute]:
        """The pages that wordmask writes, before Dagster's own, whose last route takes everything."""
        return [*written_pages(), *super().build_routes()]  # type: ignore[no-untyped-call]


def serve(host: str, port: int) -> None:
    """Serve the pages on an address of this machine until the process is stopped."""
    with (
        history() as instance,
        WorkspaceProcessContext(
            instance, WorkspaceFileTarget([str(workspace_file())]), version=__version__
        ) as workspace,
    ):
        app = GuardedWebserver(workspace).create_asgi_app()
        uvicorn.run(app, host=host, port=port, log_level="warning")


if __name__ == "__main__":
    end_with_parent(int(sys.argv[3]), grace_seconds=GRACE_SECONDS)
    keep_private()
    serve(sys.argv[1], int(sys.argv[2]))
