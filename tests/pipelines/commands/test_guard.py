"""Which requests reach a server on this machine, and which a page of another site sent."""

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from pipelines.commands.guard import Guard

MUTATION = b"query=mutation%20%7Blaunch%7D"


def answer(
    method: str = "POST",
    *,
    host: str | None = "127.0.0.1:3000",
    query: bytes = b"",
    kind: str = "http",
    hosts: tuple[str, ...] | None = None,
    more: tuple[tuple[bytes, bytes], ...] = (),
    **headers: str,
) -> tuple[bool, str]:
    """Whether the application was reached, and what was said otherwise."""
    reached, said = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    async def send(message: Any) -> None:
        said.append(str(message.get("body", message.get("reason", ""))))

    async def receive() -> Any:
        raise AssertionError("a guard reads no body")

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    own = [(b"host", host.encode())] if host is not None else []
    scope = {
        "type": kind,
        "method": method,
        "path": "/graphql",
        "query_string": query,
        "headers": [*own, *named, *more],
    }
    asyncio.run(Guard(app, hosts)(scope, receive, send))
    return bool(reached), " ".join(said)


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:8080", "[::1]:3000", "localhost"])
def test_own_pages_and_programs_pass_under_every_name_of_this_machine(host: str) -> None:
    assert answer(host=host)[0]
    assert answer(host=host, origin=f"http://{host}")[0]
    assert answer(host=host, sec_fetch_site="same-origin", origin=f"http://{host}")[0]
    assert answer("GET", host=host, sec_fetch_site="cross-site")[0]  # a link from elsewhere
    assert answer(host=host, kind="websocket", origin=f"http://{host}")[0]


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:9999",
        "http://localhost:3000",
        "http://127.0.0.1:3000.evil.example",
    ],
)
def test_a_page_of_another_origin_changes_nothing(origin: str) -> None:
    for kind in ("http", "websocket"):
        reached, said = answer(kind=kind, origin=origin)
        assert not reached
        assert "may change nothing here" in said


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something new"])
def test_a_request_without_origin_from_another_site_changes_nothing(site: str) -> None:
    assert not answer(sec_fetch_site=site)[0]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:3000", "2130706433", "", "localhost:3000:3000", None],
)
def test_a_foreign_name_of_this_machine_reads_nothing(host: str | None) -> None:
    for method in ("GET", "POST"):
        reached, said = answer(method, host=host)
        assert not reached
        assert "WORDMASK_UI_HOSTS" in said


def test_a_listed_name_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_UI_HOSTS", "masks.example, other.example")
    assert answer(host="masks.example", origin="https://masks.example")[0]
    assert not answer(host="third.example")[0]


@pytest.mark.parametrize(
    "query",
    [
        MUTATION,
        b"query=query%20A%7Ba%7D%20mutation%20B%7Bb%7D&operationName=B",
        b"query=%7Ba%7D&query=mutation%7Bb%7D",
        b"query=subscription%7Ba%7D",
        b"query=mutation",
        b"query=" + b"%7Ba" * 5000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_with_anything_but_a_plain_query_is_refused(method: str, query: bytes) -> None:
    assert not answer(method, query=query)[0]


def test_a_plain_query_may_be_read() -> None:
    assert answer("GET", query=b"query=%7Bversion%7D")[0]
    assert answer("GET", query=b"tab=runs")[0]


@pytest.mark.parametrize("name", [b"host", b"origin", b"sec-fetch-site"])
def test_a_header_that_is_there_twice_is_refused(name: bytes) -> None:
    twice = ((name, b"127.0.0.1:3000"), (name, b"127.0.0.1:3000"))
    assert not answer(host=None if name == b"host" else "127.0.0.1:3000", more=twice)[0]


@pytest.mark.parametrize("path", ["/", "/refused"])
def test_no_other_site_shows_an_answer_in_a_frame_and_the_policy_of_the_page_stays(path: str) -> None:
    page = PlainTextResponse("page", headers={"Content-Security-Policy": "object-src 'none'"})
    answered = TestClient(Guard(page), base_url="http://localhost").get(
        path, headers={"Host": "evil.example"} if path == "/refused" else {}
    )
    assert answered.status_code == (403 if path == "/refused" else 200)
    assert answered.headers["X-Frame-Options"] == "SAMEORIGIN"
    policies = answered.headers.get_list("Content-Security-Policy")
    assert "frame-ancestors 'self'" in policies
    assert ("object-src 'none'" in policies) == (path == "/")
