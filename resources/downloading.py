"""One downloader for pretrained weights: resumes after a break, checks the digest, and puts only whole files in place.

What has come of a file lies beside its final name as `<name>.partial`, so that a later call goes on where this one, or
a process that was killed, stopped. Proxies are read from the environment by the HTTP client.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ops.refusal import Refused
from storage.files import StoreError, explain, make_folder, sha256_of, sync_folder
from storage.locks import exclusive

if TYPE_CHECKING:
    import httpx

MIRROR = "WORDMASK_MIRROR"
"""Address of a server that holds the same files below `<host>/<path>` of their usual address."""
OFFLINE = ("WORDMASK_OFFLINE", "HF_HUB_OFFLINE")
TRIES = 6
"""Breaks in a row, without a byte between them, before a download is given up."""
HUB = "huggingface.co"
STATUS_ADVICE = {
    401: "it needs consent or a token: agree on its page, then log in with `hf auth login`",
    403: "it needs consent or a token: agree on its page, then log in with `hf auth login`",
    404: "there is no such file: look whether it was moved, or whether the mirror holds it",
    407: "the proxy asks for a login: set HTTPS_PROXY with one",
}
Progress = Callable[[int], None]
"""Told the bytes of the file that are there now."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file that is wanted."""

    address: str
    target: Path
    size: int | None = None
    """Bytes, where published."""
    sha256: str | None = None
    """Hex digest, where published."""

    @property
    def partial(self) -> Path:
        """What has come so far."""
        return self.target.with_name(f"{self.target.name}.partial")


class _Again(Exception):  # noqa: N818  a break, not an error
    """The connection broke, or the server was busy; the reason."""


def download(wanted: Download, *, progress: Progress = lambda _: None, pause: float = 1.0) -> Path:
    """Fetch a file, or the rest of it, unless it is there.

    Args:
        wanted: the file. One of the same name that is there already is kept if its digest is right or unknown.
        progress: told after every piece that comes.
        pause: seconds before the first new try; doubled by each break.

    Returns:
        Where the file lies.

    Raises:
        Refused: offline mode, no such file, consent is missing, the file is not the published one, or the server could
            not be reached; the message says what to do.
        StoreError: the disk refuses, or another process has held the download for an hour.
    """
    make_folder(wanted.target.parent)
    with exclusive(wanted.target.with_name(f"{wanted.target.name}.lock"), timeout=3600):
        if not _is_there(wanted):
            _demand_network(wanted)
            _fetch(wanted, progress, pause)
            _put_in_place(wanted)
    progress(wanted.target.stat().st_size)
    return wanted.target


def mirrored(address: str) -> str:
    """The address to ask: itself, or below the mirror."""
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    parts = urlsplit(address)
    return f"{mirror}/{parts.netloc}{parts.path}" if mirror else address


def _is_there(wanted: Download) -> bool:
    if not wanted.target.is_file():
        return False
    return wanted.sha256 is None or sha256_of(wanted.target) == wanted.sha256


def _demand_network(wanted: Download) -> None:
    if name := next((name for name in OFFLINE if os.environ.get(name, "0") not in ("", "0")), None):
        raise Refused(f"{wanted.target.name} is not there and {name} is set; unset it to download")


def _fetch(wanted: Download, progress: Progress, pause: float) -> None:
    import httpx

    breaks, before = 0, -1
    with httpx.Client(follow_redirects=True, timeout=httpx.Timeout(30.0), headers=_token(wanted)) as client:
        while True:
            try:
                return _receive(client, wanted, progress)
            except (httpx.TransportError, _Again) as broken:
                have = _size(wanted.partial)
                breaks, before = (0 if have > before else breaks + 1), have
                if breaks >= TRIES:
                    host, reason = urlsplit(mirrored(wanted.address)).netloc, broken or type(broken).__name__
                    raise Refused(
                        f"{wanted.target.name}: {host} can not be reached ({reason}); "
                        f"{have:,} bytes are kept, the same command goes on from there"
                    ) from broken
                time.sleep(min(pause * 2**breaks, 30))
            except httpx.HTTPError as problem:
                raise Refused(f"{wanted.target.name}: {wanted.address} can not be fetched ({problem})") from problem


def _receive(client: httpx.Client, wanted: Download, progress: Progress) -> None:
    """Ask for what is missing and append it; the memory beside it says of which version of the file it is."""
    have, memory = _size(wanted.partial), wanted.partial.with_name(f"{wanted.partial.name}.json")
    tag = _remembered_tag(memory)
    if have and wanted.sha256 is None and tag is None:
        have = 0  # nothing says that the rest belongs to what is there
    asked = {"Range": f"bytes={have}-", **({"If-Range": tag} if tag else {})} if have else {}
    with client.stream("GET", mirrored(wanted.address), headers={"Accept-Encoding": "identity", **asked}) as answer:
        if answer.status_code == 416 and wanted.size in (None, have):
            return
        if answer.status_code == 416:
            wanted.partial.unlink(missing_ok=True)
            raise _Again("the server has less of it than is here")
        _demand_success(answer, wanted)
        begin = have if answer.status_code == 206 else 0
        expected = _announced(answer, begin)
        _demand_room(wanted, (expected or wanted.size or begin) - begin)
        if (found := answer.headers.get("etag")) and not found.startswith("W/"):
            with explain(memory):
                memory.write_text(json.dumps({"etag": found}), encoding="utf-8")
        _append(answer, wanted, begin, progress)
    if expected is not None and _size(wanted.partial) < expected:
        raise _Again("the connection ended early")


def _append(answer: httpx.Response, wanted: Download, begin: int, progress: Progress) -> None:
    with explain(wanted.partial), wanted.partial.open("r+b" if begin else "wb") as file:
        file.seek(begin)
        file.truncate()
        for chunk in answer.iter_bytes():
            file.write(chunk)
            progress(file.tell())
        file.flush()
        os.fsync(file.fileno())


def _demand_success(answer: httpx.Response, wanted: Download) -> None:
    status = answer.status_code
    if status in (408, 425, 429) or status >= 500:
        raise _Again(f"answer {status}")
    if status not in (200, 206):
        advice = STATUS_ADVICE.get(status, "try its page in a browser")
        raise Refused(f"{wanted.target.name}: {wanted.address} answers {status}; {advice}")


def _announced(answer: httpx.Response, begin: int) -> int | None:
    length = answer.headers.get("content-length", "")
    return begin + int(length) if length.isdigit() else None


def _demand_room(wanted: Download, missing: int) -> None:
    free = shutil.disk_usage(wanted.target.parent).free
    if missing > free:
        raise StoreError(
            f"{wanted.target.name} needs {missing:,} bytes more, {wanted.target.parent} has {free:,} free: free space "
            "there, or set WORDMASK_CHECKPOINTS to another folder; what has come is kept."
        )


def _put_in_place(wanted: Download) -> None:
    found = sha256_of(wanted.partial)
    if wanted.sha256 is not None and found != wanted.sha256:
        kind = _told_kind(wanted.partial)
        wanted.partial.unlink()
        raise Refused(
            f"{wanted.target.name} from {mirrored(wanted.address)} is not the published file: {kind}its digest is "
            f"{found[:12]}, published is {wanted.sha256[:12]}; nothing of it was kept"
        )
    with explain(wanted.target):
        wanted.partial.replace(wanted.target)
        sync_folder(wanted.target.parent)
    wanted.partial.with_name(f"{wanted.partial.name}.json").unlink(missing_ok=True)


def _told_kind(path: Path) -> str:
    with path.open("rb") as file:
        begin = file.read(200).lstrip().lower()
    if begin.startswith((b"<!doctype", b"<html")):
        return "it is a web page, "
    return "it is a pointer of git-lfs, " if begin.startswith(b"version https://git-lfs") else ""


def _token(wanted: Download) -> dict[str, str]:
    """The hub's own token for the hub alone; httpx drops it where a redirect leaves the host."""
    if os.environ.get(MIRROR) or urlsplit(wanted.address).netloc != HUB:
        return {}
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _remembered_tag(memory: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(memory.read_bytes())["etag"])
    return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
