"""A hub of models on this machine: its descriptions, its files, and a second server that holds the large ones."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from resources.digests import blob_digest

LARGE = (".safetensors", ".bin", ".pt")
"""Kinds of files that lie at the second server."""
LICENCE = "apache-2.0"


@dataclass
class Asked:
    """A request that came."""

    server: str
    path: str
    token: str | None
    begin: int


@dataclass
class Hub:
    """What is served, how badly, and what was asked."""

    repositories: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    moved: int = 0
    """Raised by each new commit."""
    breaks: int = 0
    """So many large answers end after a third of what they promised."""
    stall: threading.Event | None = None
    """Large answers stop after a half until it is set."""
    together: threading.Barrier | None = None
    """Large answers wait for each other."""
    status: dict[str, int] = field(default_factory=dict)
    """`owner/name/file` -> what is answered."""
    instead: dict[str, bytes] = field(default_factory=dict)
    """`owner/name/file` -> what is sent in its place."""
    asked: list[Asked] = field(default_factory=list)
    address: str = ""
    elsewhere: str = ""
    """Address of the second server."""

    def commit(self, repository: str) -> str:
        """Of a repository as it is now."""
        return hashlib.sha1(f"{repository} {self.moved}".encode()).hexdigest()

    def description(self, repository: str) -> dict[str, object]:
        """As the hub's own interface gives it."""
        return {
            "id": repository,
            "sha": self.commit(repository),
            "gated": "manual" if repository in self.gated else False,
            "cardData": {"license": LICENCE},
            "siblings": [_described(name, content) for name, content in self.repositories[repository].items()],
        }

    def begins(self, name: str) -> list[int]:
        """Where the requests for a large file began."""
        return [one.begin for one in self.asked if one.server == "second" and one.path.endswith(name)]


def _described(name: str, content: bytes) -> dict[str, object]:
    if name.endswith(LARGE):
        stored = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return {"rfilename": name, "size": len(content), "blobId": "0" * 40, "lfs": stored}
    return {"rfilename": name, "size": len(content), "blobId": blob_digest(content)}


class _Server(ThreadingHTTPServer):
    hub: Hub
    name: str
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        hub, path = self.server.hub, urlsplit(self.path).path.removeprefix("/huggingface.co")
        wanted = self.headers.get("Range")
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        hub.asked.append(Asked(self.server.name, path, self.headers.get("Authorization"), begin))
        if path.startswith("/api/models/"):
            self._describe(path.removeprefix("/api/models/"))
        else:
            repository, file = "/".join(path.split("/")[1:3]), path.split("/")[-1]
            self._file(repository, file, begin)

    def _describe(self, path: str) -> None:
        hub = self.server.hub
        repository, _, revision = path.partition("/revision/")
        if repository not in hub.repositories:
            self._refuse(401, "RepoNotFound")
        elif revision not in ("", "main", hub.commit(repository)):
            self._refuse(404, "RevisionNotFound")
        else:
            self._answer(json.dumps(hub.description(repository)).encode(), 0)

    def _file(self, repository: str, file: str, begin: int) -> None:
        hub, name = self.server.hub, f"{repository}/{file}"
        content = hub.instead.get(name, hub.repositories.get(repository, {}).get(file))
        large = file.endswith(LARGE)
        if repository in hub.gated and not self.headers.get("Authorization") and self.server.name == "first":
            self._refuse(401, "GatedRepo")
        elif name in hub.status or content is None:
            self._refuse(hub.status.get(name, 404), "")
        elif large and self.server.name == "first":
            self.send_response(302)
            self.send_header("Location", f"{hub.elsewhere}/{repository}/{file}?signature=x")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._answer(content, begin, large=large)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, content: bytes, begin: int, *, large: bool = False) -> None:
        hub, body = self.server.hub, content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if large and hub.breaks:
            hub.breaks -= 1
            self.wfile.write(body[: len(body) // 3])
            self.close_connection = True
            return
        if large and hub.together:
            hub.together.wait(20)  # else the connection breaks
        if large and hub.stall:
            self.wfile.write(body[: len(body) // 2])
            hub.stall.wait(30)
            body = body[len(body) // 2 :]
        self.wfile.write(body)


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Both servers, on the loopback."""
    servers = [_Server(("127.0.0.1", 0), _Handler) for _ in range(2)]
    for server, name in zip(servers, ("first", "second"), strict=True):
        server.hub, server.name = hub, name
    hub.address, hub.elsewhere = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        if hub.stall:
            hub.stall.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
