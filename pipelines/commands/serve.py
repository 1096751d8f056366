"""Answers over HTTP: opens the models of an experiment once, and serves them until a person stops it."""

import socket
from contextlib import suppress

from ops.refusal import Refused
from pipelines.commands.answering import open_answering
from pipelines.commands.terminal import console

GRACE_SECONDS = 15
"""How long requests that are being answered may keep the server when it is asked to end."""


def serve(
    dataset: str,
    experiment: str,
    *,
    model: str | None,
    host: str,
    port: int,
    megabytes: float,
    pixels: int,
    batch_milliseconds: float,
) -> None:
    """Serve until Ctrl+C or SIGTERM; requests that are being answered are finished.

    Args:
        dataset: see `open_answering`, also for what it raises.
        experiment: likewise.
        model: likewise.
        host: address to listen on. Elsewhere than on this machine, `WORDMASK_UI_HOSTS` has to list its names.
        port: 0 takes a free one.
        megabytes: of a request, at most.
        pixels: of an image, at most.
        batch_milliseconds: for how long requests are collected before they are computed together.

    Raises:
        Refused: the extra packages are not installed, or the port is taken.
    """
    try:
        import uvicorn

        from pipelines.serving.app import build_app
        from pipelines.serving.limits import RequestLimits
    except ModuleNotFoundError as problem:
        raise Refused(f"{problem.name} is not installed: pip install 'wordmask[serve]' brings it") from problem
    with listening(host, port) as listener:
        console.print(f"opening the models of {experiment} on {dataset} ...")
        answering = open_answering(dataset, experiment, model)
        limits = RequestLimits(bytes=int(megabytes * 1e6), pixels=pixels)
        app = build_app(answering, limits=limits, wait_seconds=batch_milliseconds / 1000)
        console.print(f"{answering.title}{f'; {answering.note}' if answering.note else ''}")
        console.print(f"answers at http://{shown(listener)} (the API: /api); Ctrl+C ends it", soft_wrap=True)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS)
        with suppress(KeyboardInterrupt):  # uvicorn raises it again once all is closed
            uvicorn.Server(config).run(sockets=[listener])
    console.print("ended")


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        Refused: the port is taken, or the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise Refused(f"{host}:{port} cannot be served ({problem}): choose another with --host and --port") from problem
    listener.listen(128)
    return listener


def shown(listener: socket.socket) -> str:
    """Host and port of a socket, as an address has them."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
