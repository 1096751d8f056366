"""Whole files under their names, whatever the connection does; a server of this machine stands for all others."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.downloading import Download, download, measured
from storage.files import StoreError

CONTENT = bytes(range(256)) * 12_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `breaks` answers end after a third of what they promised."""

    breaks = 0
    busy = 0
    content = CONTENT
    ranges = True
    status = 200
    asked: list[str | None]
    paths: list[str]

    def address(self, path: str = "/weights.pt") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        server.paths.append(self.path)
        if server.busy:
            server.busy -= 1
            self.send_error(503)
            return
        if server.status != 200:
            self.send_error(server.status)
            return
        same = self.headers.get("If-Range") in (None, self._tag())
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges and same else 0
        if begin > len(server.content) or (begin and begin == len(server.content)):
            self.send_error(416)
            return
        body = server.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self._tag())
        self.end_headers()
        if server.breaks:
            server.breaks -= 1
            self.wfile.write(body[: len(body) // 3])
            self.connection.close()
            return
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def _tag(self) -> str:
        return f'"{hashlib.sha256(self.server.content).hexdigest()[:8]}"'


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked, running.paths = [], []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def wanted(server: Server, folder: Path, *, sha256: str | None = DIGEST, size: int | None = len(CONTENT)) -> Download:
    return Download(address=server.address(), target=folder / "models" / "weights.pt", size=size, sha256=sha256)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models").iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("sha256", [DIGEST, None])
def test_two_breaks_cost_only_what_was_on_the_way(server: Server, tmp_path: Path, sha256: str | None) -> None:
    server.breaks = 2
    told: list[int] = []
    file = download(wanted(server, tmp_path, sha256=sha256), progress=told.append, pause=0.001)
    assert file.read_bytes() == CONTENT
    assert left(tmp_path) == ["weights.pt"]
    assert [asked is not None for asked in server.asked] == [False, True, True]
    assert told[-1] == len(CONTENT)
    download(wanted(server, tmp_path, sha256=sha256))
    assert len(server.asked) == 3  # what is there is not asked for


def test_another_process_goes_on_from_what_a_killed_one_left(server: Server, tmp_path: Path) -> None:
    aim = wanted(server, tmp_path)
    aim.target.parent.mkdir()
    aim.partial.write_bytes(CONTENT[:1_000_000])
    assert download(aim).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000000-"]


@pytest.mark.parametrize("beginning", [CONTENT, CONTENT + b"more"])
def test_a_partial_file_that_is_whole_or_too_long(server: Server, tmp_path: Path, beginning: bytes) -> None:
    aim = wanted(server, tmp_path)
    aim.target.parent.mkdir()
    aim.partial.write_bytes(beginning)
    assert download(aim, pause=0.001).read_bytes() == CONTENT


def test_a_server_without_ranges_begins_again(server: Server, tmp_path: Path) -> None:
    server.breaks, server.ranges = 1, False
    assert download(wanted(server, tmp_path), pause=0.001).read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_not_patched_together(server: Server, tmp_path: Path) -> None:
    aim = wanted(server, tmp_path, sha256=None, size=None)
    aim.target.parent.mkdir()
    aim.partial.write_bytes(CONTENT[:1000])
    aim.partial.with_name("weights.pt.partial.json").write_text('{"etag": "\\"older\\""}')
    assert download(aim).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.busy = 2
    assert download(wanted(server, tmp_path), pause=0.001).read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "advice"), [(404, "no such file"), (401, "consent"), (403, "consent")])
def test_a_refusal_is_one_clear_line(server: Server, tmp_path: Path, status: int, advice: str) -> None:
    server.status = status
    with pytest.raises(Refused, match=f"weights.pt: .* answers {status}; .*{advice}") as told:
        download(wanted(server, tmp_path))
    assert "\n" not in str(told.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer"),
        (b"x", "its digest"),
    ],
)
def test_what_is_not_the_published_file_is_not_kept(server: Server, tmp_path: Path, content: bytes, kind: str) -> None:
    server.content = content
    with pytest.raises(Refused, match=f"is not the published file: .*{kind}"):
        download(wanted(server, tmp_path))
    assert "weights.pt" not in left(tmp_path)
    server.content = CONTENT
    assert download(wanted(server, tmp_path)).read_bytes() == CONTENT


def test_what_nothing_is_known_of_is_no_web_page_and_no_more_than_its_size(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(Refused, match=r"is not the published file: it is a web page"):
        download(wanted(server, tmp_path, sha256=None, size=None))
    server.content = CONTENT
    with pytest.raises(Refused, match="sends more than the 1,000 bytes"):
        download(wanted(server, tmp_path, sha256=None, size=1000))
    assert left(tmp_path) in ([], ["weights.pt.partial.json"])


def test_a_server_that_stays_away_leaves_what_has_come(server: Server, tmp_path: Path) -> None:
    server.breaks = 1
    aim = wanted(server, tmp_path)

    def gone(_: int) -> None:
        server.busy = 100

    with pytest.raises(Refused, match=r"can not be reached .*bytes are kept, the same command goes on"):
        download(aim, progress=gone, pause=0.0001)
    assert aim.partial.stat().st_size > 0
    server.busy = 0
    assert download(aim).read_bytes() == CONTENT


def test_a_disk_without_room_is_said_before_a_byte_comes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.downloading.shutil.disk_usage", lambda _: type("Free", (), {"free": 10})())
    with pytest.raises(StoreError, match=r"needs 3,072,000 bytes more.*10 free"):
        download(wanted(server, tmp_path))


def test_offline_and_mirror_are_read_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aim = Download(address="https://weights.example/a/weights.pt", target=tmp_path / "models" / "w.pt", sha256=DIGEST)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Refused, match="HF_HUB_OFFLINE is set"):
        download(aim)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("WORDMASK_MIRROR", server.address("/"))
    assert download(aim).read_bytes() == CONTENT


def test_a_proxy_of_the_environment_is_asked(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.address(""))
    monkeypatch.delenv("no_proxy", raising=False)
    aim = Download(address="http://weights.example/a/w.pt", target=tmp_path / "models" / "w.pt", sha256=DIGEST)
    assert download(aim).read_bytes() == CONTENT
    assert server.paths == ["http://weights.example/a/w.pt"]


def test_a_server_is_asked_for_a_size_that_nobody_published(server: Server, tmp_path: Path) -> None:
    aim = wanted(server, tmp_path, size=None)
    assert (aim.missing, measured(aim).missing) == (None, len(CONTENT))
    aim.partial.parent.mkdir()
    aim.partial.write_bytes(CONTENT[:1000])
    assert measured(aim).missing == len(CONTENT) - 1000
    server.status = 404
    assert measured(aim) == aim
