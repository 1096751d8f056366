"""A shared store that is broken, slow or closed ends no run: it is said once, and a later push makes up for it."""

import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from storage.artifact import Store
from storage.files import StoreError
from storage.remote import forgiving, objects
from storage.remote.bucket import Patience, RemoteError
from storage.remote.forgiving import Forgiving
from storage.remote.objects import Place
from storage.remote.shared import Shared
from storage.remote.store import SharedStore
from tests.buckets import FILES, KEY, PAGE, content_of, environment, home_of, made, names_in

EXPIRED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>a-session-token</Token-0>
<RequestId>1</RequestId></Error>"""
"""As S3 answers when temporary credentials have run out."""
SECRETS = ("a-secret-of-the-tests", "a-session-token", "geheim", "Credential=")
QUICK = Patience(connect=0.5, request=0.5, retries=0, altogether=1.0)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers all requests alike."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        yield address


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on the loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def gone() -> Iterator[str]:
    """No server any more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    yield address


FAILURES: dict[str, tuple[Callable[[], AbstractContextManager[str]], str, str]] = {
    "gone": (gone, "s3://shared/x", "error sending request"),
    "silent": (silent, "s3://shared/x", "cannot read"),
    "expired": (lambda: answering(400, EXPIRED), "s3://shared/x", "ExpiredToken.*renew the credentials"),
    "forbidden": (lambda: answering(403, b""), "s3://shared/x", "403 Forbidden.*renew the credentials"),
    "out of order": (lambda: answering(500, b"<html>oops</html>"), "s3://shared/x", "500 Internal Server Error"),
    "not mounted": (gone, "/nowhere/at/all", "is no folder; mount it"),
    "no address": (gone, "s3:/shared", "write s3://bucket/prefix"),
    "a secret": (gone, "s3://me:geheim@shared/x", "give credentials by environment"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_run_goes_on_without_it_and_says_so_once(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve, url, reason = FAILURES[failure]
    lines: list[str] = []
    with serve() as address:
        for name, value in environment(address).items():
            monkeypatch.setenv(name, value)
        root = tmp_path / "home"
        store = SharedStore(root, log=lines.append, remote=Forgiving(Shared(url, patience=QUICK), root))
        (first, computed), second = made(store), made(store, fingerprint="f2")
    assert computed
    assert second[1]
    assert Store(root).verify(first) == ()
    text = "\n".join(lines)
    assert re.search(reason, text), text
    assert text.count("this run goes on without it") == 1
    assert [line for line in lines if "was not sent" in line and "`wordmask push`" in line]
    assert len([line for line in lines if "was not sent" in line]) == 2
    assert not any(secret in text for secret in SECRETS)
    assert store.remote.unsent() == [Place("numbers", "f1"), Place("numbers", "f2")]
    assert not any(secret in (root / forgiving.RESTING).read_text() for secret in SECRETS)


def test_a_key_that_the_server_does_not_know_is_refused_by_it(s3: str, tmp_path: Path) -> None:
    from moto.core import set_initial_no_auth_action_count

    lines: list[str] = []
    looking_at_keys = set_initial_no_auth_action_count(0)(made)
    _, computed = looking_at_keys(home_of(tmp_path / "home", s3, log=lines.append))
    assert computed
    assert any("InvalidAccessKeyId" in line and "renew the credentials" in line for line in lines), lines


@contextmanager
def read_only(address: str) -> Iterator[str]:
    """Stands before a server and lets nobody write, as a policy of the bucket does."""
    denied = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = httpx.get(address + self.path, headers=dict(self.headers), timeout=30)
            self.answer(found.status_code, found.content, dict(found.headers))

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.answer(403, denied, {})

        do_POST = do_DELETE = do_PUT

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name in headers.keys() & {"etag", "last-modified", "content-type", "content-range"}:
                self.send_header(name, headers[name])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as served:
        yield served


def test_who_may_only_read_finds_what_is_there_and_keeps_the_rest(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("f1", "f3"):
        made(home_of(tmp_path / "writer", s3), fingerprint=name)
    before, lines = names_in(s3), list[str]()
    with read_only(os.environ["AWS_ENDPOINT_URL"]) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store = home_of(tmp_path / "reader", s3, log=lines.append)
        assert [made(store, fingerprint=name)[1] for name in ("f1", "f2", "f3")] == [False, True, False]
        assert names_in(s3) == before
    assert [line for line in lines if "it may only be read from here" in line] == [
        "numbers f2 was not sent to the shared store; it may only be read from here"
    ]
    assert store.remote.unsent() == []


def test_a_push_sends_later_what_was_not_sent(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "home"
    address = os.environ["AWS_ENDPOINT_URL"]
    with gone() as nobody:
        monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
        made(home_of(root, s3))
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    store = home_of(root, s3)
    assert not made(store)[1]
    assert names_in(s3) == set()  # it rests
    assert store.push(KEY) == "sent"
    assert store.remote.unsent() == []
    assert not made(home_of(tmp_path / "other", s3))[1]


def test_after_its_rest_it_is_asked_again(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = os.environ["AWS_ENDPOINT_URL"]
    with gone() as nobody:
        monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
        made(home_of(tmp_path / "home", s3))
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setattr(forgiving, "REST_SECONDS", 0.0)
    made(home_of(tmp_path / "home", s3))
    assert PAGE in names_in(s3)


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_takes_too_long_is_given_up(way: str, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    if way == "down":
        made(home_of(tmp_path / "one", s3))
    monkeypatch.setattr(objects, "GRACE_SECONDS", -1.0)
    _, computed = made(home_of(tmp_path / "two", s3, log=lines.append))
    assert computed
    assert any("too slow" in line for line in lines)
    assert (PAGE in names_in(s3)) == (way == "down")


def test_a_disk_that_is_full_while_a_result_comes_is_told_and_the_run_goes_on(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("Cannot write: The disk is full")

    lines: list[str] = []
    made(home_of(tmp_path / "one", folder))
    monkeypatch.setattr(objects, "growing_file", full)
    artifact, computed = made(home_of(tmp_path / "two", folder, log=lines.append))
    assert computed
    assert any("The disk is full" in line for line in lines)
    assert content_of(artifact).keys() == {*FILES, "manifest.json"}


def test_whoever_pushes_is_told_that_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(Store(tmp_path / "home"))
    with gone() as address:
        for name, value in environment(address).items():
            monkeypatch.setenv(name, value)
        store = home_of(tmp_path / "home", "s3://shared/x")
        with pytest.raises(RemoteError, match="error sending request"):
            store.push(KEY)
        assert "error sending request" in store.remote.shared.problem()


def test_the_store_of_a_home_is_no_shared_store(tmp_path: Path) -> None:
    theirs, _ = made(Store(tmp_path / "theirs"))
    before = content_of(theirs)
    lines: list[str] = []
    assert made(home_of(tmp_path / "mine", str(tmp_path / "theirs"), log=lines.append))[1]
    assert any("is the store of a home" in line for line in lines)
    assert content_of(theirs) == before
    assert Store(tmp_path / "theirs").verify(theirs) == ()


def test_a_package_that_is_missing_is_named(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    assert made(home_of(tmp_path / "home", folder, log=lines.append))[1]
    assert any("pip install 'wordmask[remote]'" in line for line in lines)
