"""Where Dagster finds the graph: in a process that it starts, or in a code server that hosts or containers share.

python -m pipelines.commands.code_server <host> <port>

Who reaches that port may have anything run: it belongs into a private network, see docs/deploying.md.
"""

import json
import os
import sys
from pathlib import Path

from ops.refusal import Refused
from pipelines.graph.instance import history, instance_folder
from resources.paths import PROJECT
from resources.processes import keep_private
from storage.digest import digest
from storage.files import write_bytes

VARIABLE = "WORDMASK_CODE_SERVER"
"""Environment variable: host:port of the code server of another container."""
LOCATION = "wordmask"


def workspace_file() -> Path:
    """The file that tells Dagster where the graph is.

    Raises:
        Refused: the variable names no host and port.
    """
    if not (named := os.environ.get(VARIABLE)):
        return PROJECT / "workspace.yaml"
    host, colon, port = named.rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise Refused(f"{VARIABLE} is {named}; say where the code server listens as host:port")
    server = {"host": host, "port": int(port), "location_name": LOCATION}
    path = instance_folder() / f"workspace_{digest(named)}.yaml"
    write_bytes(path, json.dumps({"load_from": [{"grpc_server": server}]}).encode())
    return path


def main(host: str, port: str) -> None:
    """Serve the graph, and run what pages launch, until the process is stopped."""
    keep_private()
    from dagster._cli import main as dagster

    with history():
        pass  # its files are there before several processes ask for them
    options = ["--host", host, "--port", port, "--module-name", "pipelines.definitions", "--location-name", LOCATION]
    sys.argv[1:] = ["code-server", "start", *options, "--working-directory", str(PROJECT)]
    dagster()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
