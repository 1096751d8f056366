"""Who may speak to a server on this machine: its own pages and programs, and no other web page.

A browser sends requests of any page to a loopback address. The guard therefore asks three things: the `Host` is this
machine's (a foreign name may be made to mean 127.0.0.1), the `Origin` of anything but a read is the server's own, and a
read changes nothing. Programs send no `Origin` and pass. Its answers are shown in no frame of another site, where a
person would be made to click on them. It stands before every server that wordmask opens.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HOSTS = "WORDMASK_UI_HOSTS"
"""Environment variable: more names of this machine, separated by commas, such as that of a proxy with a login."""
READS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"", "same-origin", "none"})
"""Values of `Sec-Fetch-Site` of a person's own navigation and of the server's own pages."""
UNFRAMED = ((b"x-frame-options", b"SAMEORIGIN"), (b"content-security-policy", b"frame-ancestors 'self'"))
"""Headers; a second policy beside Dagster's own, browsers follow both."""


def allowed_hosts() -> tuple[str, ...]:
    """Names under which the server may be asked for."""
    listed = (name.strip().lower() for name in os.environ.get(HOSTS, "").split(","))
    return (*LOOPBACK, *(name for name in listed if name))


class Guard:
    """ASGI middleware that refuses what another site's page sends, with status 403 and a reason."""

    def __init__(self, app: App, hosts: Iterable[str] | None = None) -> None:
        """Stand before an application; `hosts` replaces the allowed names."""
        self.app, self.hosts = app, frozenset(allowed_hosts() if hosts is None else hosts)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        reason = None if scope["type"] == "lifespan" else self.refusal(scope)
        if reason is None:
            await self.app(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), *UNFRAMED]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": f"refused: {reason}\n".encode()})

    def refusal(self, scope: Mapping[str, Any]) -> str | None:
        """Why a request is refused; None where it is not."""
        headers = _headers(scope)
        if headers is None:
            return "a header that says who asks is there twice"
        host = headers.get("host", "").lower()
        if _name(host) not in self.hosts:
            return f"the host {host or '(none)'} is not this machine's; list its name in {HOSTS}"
        reads = scope["type"] == "http" and scope["method"] in READS
        origin = headers.get("origin")
        if not reads and origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return f"a page of {origin} may change nothing here"
        if not reads and origin is None and headers.get("sec-fetch-site", "") not in OWN_SITES:
            return "a page of another site may change nothing here"
        if reads and _mutates(scope.get("query_string", b"")):
            return "a read changes nothing: send mutations by POST"
        return None


def _unframed(send: Send) -> Send:
    """Send answers with headers that keep other sites from laying a page under theirs and have a person click on it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *UNFRAMED]}
        await send(message)

    return sending


def _headers(scope: Mapping[str, Any]) -> dict[str, str] | None:
    """The headers that say who asks; None where one of them is ambiguous."""
    found: dict[str, str] = {}
    for raw_name, value in scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        if name in ("host", "origin", "sec-fetch-site"):
            if name in found:
                return None
            found[name] = value.decode("latin-1").strip()
    return found


def _name(host: str) -> str:
    """A host without its port."""
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and (name.endswith("]") or ":" not in name) else host


def _mutates(query: bytes) -> bool:
    """Whether a query string holds a GraphQL document that is not plainly a read."""
    for document in parse_qs(query.decode("latin-1"), keep_blank_values=True).get("query", ()):
        try:
            definitions = parse(document, max_tokens=10_000).definitions
        except (GraphQLError, RecursionError):
            return True
        operations = (part for part in definitions if isinstance(part, OperationDefinitionNode))
        if any(part.operation is not OperationType.QUERY for part in operations):
            return True
    return False
