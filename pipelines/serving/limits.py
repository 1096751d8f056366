"""How much a request may bring, and the middleware that stops reading where it brings more."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from pipelines.commands.guard import App, Message, Receive, Send
from pipelines.serving.problems import Problem
from resources.datasets.images import MAX_PIXELS


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """Of one request."""

    bytes: int = 32_000_000
    """Of the whole body."""
    pixels: int = MAX_PIXELS
    sentences: int = 64


class BodyLimit:
    """ASGI middleware: a body that is too long is refused by its header, or where it turns out so."""

    def __init__(self, app: App, *, at_most: int) -> None:
        """Stand before an application; bodies have `at_most` bytes."""
        self.app, self.at_most = app, at_most

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on while it is short enough."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _announced(scope) > self.at_most:
            await self._refuse(send)
            return
        read, begun = 0, False

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.at_most:
                raise _TooLong
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            if read <= self.at_most or begun:  # what the application makes of a body that broke off is not sent
                begun = True
                await send(message)

        with suppress(_TooLong):
            await self.app(scope, limited, noted)
        if read > self.at_most and not begun:
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        problem = too_large(f"the request has more than {self.at_most:,} bytes")
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": problem.body()})


class _TooLong(Exception):  # noqa: N818  ends the reading of a body
    pass


def too_large(what: str) -> Problem:
    """Of bytes or pixels."""
    return Problem(413, "too_large", what, "send a smaller or more strongly compressed image")


def _announced(scope: Mapping[str, object]) -> int:
    """What the header says of the body's length; 0 where it says nothing."""
    headers = scope["headers"]
    assert isinstance(headers, list | tuple)
    given = next((value for name, value in headers if name.lower() == b"content-length"), b"0")
    return int(given) if given.isdigit() else 0
