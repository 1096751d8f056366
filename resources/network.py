"""Which addresses are asked: the usual ones, a mirror's, a hub's own; and whether the network may be used at all."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from ops.refusal import Refused

MIRROR = "WORDMASK_MIRROR"
"""Address of a server that holds the same files below `<host>/<path>` of their usual address."""
ENDPOINT = "HF_ENDPOINT"
"""Address of a server that speaks as the hub does, by the name under which the hub's own tools read it."""
OFFLINE = ("WORDMASK_OFFLINE", "HF_HUB_OFFLINE")
HUB = "https://huggingface.co"


def mirrored(address: str) -> str:
    """The address to ask: itself, below the mirror, or at the server that stands for the public hub."""
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    parts = urlsplit(address)
    if mirror:
        return f"{mirror}/{parts.netloc}{parts.path}"
    return hub_address() + address.removeprefix(HUB) if address.startswith(f"{HUB}/") else address


def hub_address() -> str:
    """Where models of the hub are asked for, before a mirror is taken: `HF_ENDPOINT`, or the public hub.

    A mirror holds the public hub's files, so that `HF_ENDPOINT` means nothing beside it.
    """
    chosen = os.environ.get(ENDPOINT, "").rstrip("/")
    return HUB if os.environ.get(MIRROR) or not chosen else chosen


def offline() -> str | None:
    """The variable that forbids the network; None: it may be used."""
    return next((name for name in OFFLINE if os.environ.get(name, "0").lower() not in ("", "0", "false", "no")), None)


def demand_network(what: str) -> None:
    """Refuse in offline mode, naming what is not there and the variable."""
    if name := offline():
        raise Refused(f"{what} is not there and {name} is set; unset it to download")


def is_of_the_hub(address: str) -> bool:
    """Whether it is the hub itself that is asked, at an address that `mirrored` gave; only it is shown its token."""
    if os.environ.get(MIRROR):
        return False
    asked, hub = urlsplit(address), urlsplit(hub_address())
    return (asked.scheme, asked.netloc) == (hub.scheme, hub.netloc)


def hub_token(address: str) -> dict[str, str]:
    """The header with the token that the hub's own tools keep, for the hub alone; `address` as `mirrored` gives it.

    httpx drops it where a redirect leaves the host, as those to the servers that hold the hub's large files do.
    """
    if not is_of_the_hub(address):
        return {}
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}
