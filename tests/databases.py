"""A Postgres server of a test's own on the loopback, from Debian's package or whatever is on the path."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port

PASSWORD = "a-secret"


def program(name: str) -> str | None:
    """Where a program of Postgres lies; Debian keeps its servers off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


needs_postgres = pytest.mark.skipif(program("postgres") is None, reason="no Postgres is installed")


@dataclass(kw_only=True)
class Server:
    """A server with one database."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """With its password."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = (f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}")
        command = [
            str(program("postgres")),
            "-D",
            str(self.folder),
            *(part for one in settings for part in ("-c", one)),
        ]
        self.process = subprocess.Popen(
            [*command, "-c", "fsync=off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=_user()
        )
        _await_port(self.port)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        self.process.send_signal(3)  # its own children are ended at once, too
        self.process.wait(60)


@contextmanager
def postgres() -> Iterator[Server]:
    """A server that runs."""
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    try:
        server = Server(folder=folder / "data", port=free_port())
        (secret := folder / "password").write_text(PASSWORD)
        if user := _user():
            for path in (folder, secret):
                shutil.chown(path, user)
        options = ("-U", "postgres", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
        subprocess.run(
            [str(program("initdb")), "-D", str(server.folder), *options],
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            cwd=folder,
        )
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)


def _user() -> str | None:
    """Somebody else, where this is root, as whom Postgres does not start."""
    return pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None


def _await_port(port: int) -> None:
    import psycopg2

    until = time.monotonic() + 60
    while True:
        try:
            psycopg2.connect(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres").close()
        except psycopg2.OperationalError:
            assert time.monotonic() < until, "Postgres does not answer"
            time.sleep(0.1)
        else:
            return
