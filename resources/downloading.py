"""One downloader for pretrained weights: resumes after a break, checks the digest, and puts only whole files in place.

What has come of a file lies beside its final name as `<name>.partial`, so that a later call goes on where this one, or
a process that was killed, stopped. Proxies are read from the environment by the HTTP client.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ops.refusal import Refused
from resources.digests import git_digest, remembered_digest
from resources.mistaken import HEAD, mistaken_for
from resources.network import demand_network, hub_token, mirrored, offline
from storage.files import StoreError, explain, make_folder, sha256_of, sync_folder
from storage.locks import exclusive

if TYPE_CHECKING:
    import ssl

    import httpx

TRIES = 6
"""Breaks in a row, without a byte between them, before a download is given up."""
STATUS_ADVICE = {
    404: "there is no such file: look whether it was moved, or whether the mirror holds it",
    407: "the proxy asks for a login: set HTTPS_PROXY with one",
}
ASKED_WAIT = 10.0
"""Seconds that a question for a size may take."""
WHOLE = {"Accept-Encoding": "identity"}
"""Bytes as they lie at the server, so that they can be counted."""
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
    blob: str | None = None
    """git's digest of a small file, where a hub gives no other."""
    page: str = ""
    """Where a person agrees to its licence; empty: nowhere that is known."""

    @property
    def missing(self) -> int | None:
        """Bytes that are still to come, by names and sizes; None: nobody knows."""
        if self.target.is_file() and self.size in (None, _size(self.target)):
            return 0
        return None if self.size is None else max(0, self.size - _size(self.partial))

    @property
    def partial(self) -> Path:
        """What has come so far."""
        return self.target.with_name(f"{self.target.name}.partial")


class _Again(Exception):  # noqa: N818  a break, not an error
    """The connection broke, or the server was busy; the reason."""


def download(
    wanted: Download, *, progress: Progress = lambda _: None, pause: float = 1.0, stop: Event | None = None
) -> Path:
    """Fetch a file, or the rest of it, unless it is there.

    Args:
        wanted: the file. One of the same name that is there already is kept if its digest is right or unknown.
        progress: told after every piece that comes.
        pause: seconds before the first new try; doubled by each break.
        stop: once it is set, the download ends as a broken one does, without another try.

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
            demand_network(wanted.target.name)
            _fetch(wanted, progress, pause, stop or Event())
            _put_in_place(wanted)
    progress(wanted.target.stat().st_size)
    return wanted.target


def measured(wanted: Download) -> Download:
    """With its size, as its server tells it; as it was where the size is known, or the server does not tell."""
    if wanted.size is not None or offline():
        return wanted
    import httpx

    address = mirrored(wanted.address)
    headers = {**WHOLE, **hub_token(address)}
    try:
        answer = httpx.head(address, follow_redirects=True, timeout=ASKED_WAIT, headers=headers, verify=_certificates())
    except httpx.HTTPError:
        return wanted
    length = answer.headers.get("content-length", "")
    return replace(wanted, size=int(length)) if answer.status_code == 200 and length.isdigit() else wanted


def _is_there(wanted: Download) -> bool:
    if not wanted.target.is_file():
        return False
    if wanted.sha256 is not None:
        return remembered_digest(wanted.target) == wanted.sha256
    return wanted.blob is None or git_digest(wanted.target) == wanted.blob


def _fetch(wanted: Download, progress: Progress, pause: float, stop: Event) -> None:
    import httpx

    breaks, before = 0, -1
    token = hub_token(mirrored(wanted.address))
    timeout = httpx.Timeout(30.0)
    with httpx.Client(follow_redirects=True, timeout=timeout, headers=token, verify=_certificates()) as client:
        while True:
            try:
                return _receive(client, wanted, progress, stop)
            except (httpx.TransportError, _Again) as broken:
                have = _size(wanted.partial)
                breaks, before = (0 if have > before else breaks + 1), have
                if breaks >= TRIES or stop.is_set():
                    host, reason = urlsplit(mirrored(wanted.address)).netloc, broken or type(broken).__name__
                    raise Refused(
                        f"{wanted.target.name}: {host} can not be reached ({reason}); "
                        f"{have:,} bytes are kept, the same command goes on from there"
                    ) from broken
                stop.wait(min(pause * 2**breaks, 30))
            except httpx.HTTPError as problem:
                raise Refused(f"{wanted.target.name}: {wanted.address} can not be fetched ({problem})") from problem


@cache
def _certificates() -> ssl.SSLContext:
    """Those of the system or of `SSL_CERT_FILE`; reading them takes as long as a small file."""
    import httpx

    return httpx.create_ssl_context()


def _receive(client: httpx.Client, wanted: Download, progress: Progress, stop: Event) -> None:
    """Ask for what is missing and append it; the memory beside it says of which version of the file it is."""
    have, memory = _size(wanted.partial), wanted.partial.with_name(f"{wanted.partial.name}.json")
    told = wanted.sha256 or wanted.blob  # the digest says in the end that all belongs together; else a tag has to
    tag = None if told else _remembered_tag(memory)
    if have and not told and tag is None:
        have = 0
    asked = {"Range": f"bytes={have}-", **({"If-Range": tag} if tag else {})} if have else {}
    with client.stream("GET", mirrored(wanted.address), headers={**WHOLE, **asked}) as answer:
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
        _append(answer, wanted, begin, progress, stop)
    if expected is not None and _size(wanted.partial) < expected:
        raise _Again("the connection ended early")


def _append(answer: httpx.Response, wanted: Download, begin: int, progress: Progress, stop: Event) -> None:
    with explain(wanted.partial), wanted.partial.open("r+b" if begin else "wb") as file:
        file.seek(begin)
        file.truncate()
        for chunk in answer.iter_bytes():
            file.write(chunk)
            if wanted.size is not None and file.tell() > wanted.size:
                wanted.partial.unlink()
                raise Refused(
                    f"{wanted.target.name}: its server sends more than the {wanted.size:,} bytes it should have"
                )
            progress(file.tell())
            if stop.is_set():
                raise _Again("it was stopped")
        file.flush()
        os.fsync(file.fileno())


def _demand_success(answer: httpx.Response, wanted: Download) -> None:
    status = answer.status_code
    if status in (408, 425, 429) or status >= 500:
        raise _Again(f"answer {status}")
    if status not in (200, 206):
        advice = _consent(wanted) if status in (401, 403) else STATUS_ADVICE.get(status, "try its page in a browser")
        raise Refused(f"{wanted.target.name}: {wanted.address} answers {status}; {advice}")


def _consent(wanted: Download) -> str:
    page = f" ({wanted.page})" if wanted.page else ""
    return f"it needs consent or a token: agree on its page{page}, then log in with `hf auth login`"


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
    if wrong := _what_is_wrong(wanted):
        wanted.partial.unlink()
        raise Refused(
            f"{wanted.target.name} from {mirrored(wanted.address)} is not the published file: {wrong}; "
            "nothing of it was kept"
        )
    with explain(wanted.target):
        wanted.partial.replace(wanted.target)
        sync_folder(wanted.target.parent)
    wanted.partial.with_name(f"{wanted.partial.name}.json").unlink(missing_ok=True)


def _what_is_wrong(wanted: Download) -> str | None:
    with wanted.partial.open("rb") as file:
        kind = mistaken_for(file.read(HEAD))
    published = wanted.sha256 or wanted.blob
    found = sha256_of(wanted.partial) if wanted.sha256 or not published else git_digest(wanted.partial)
    if published is not None and found != published:
        return f"{f'it is {kind}, ' if kind else ''}its digest is {found[:12]}, published is {published[:12]}"
    if published is None and kind:
        return f"it is {kind}"
    size = _size(wanted.partial)
    return None if wanted.size in (None, size) else f"it has {size:,} bytes, published are {wanted.size:,}"


def _remembered_tag(memory: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(memory.read_bytes())["etag"])
    return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
