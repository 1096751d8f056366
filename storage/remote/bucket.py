"""A place that several machines share: an S3, GCS or Azure bucket, or a folder, through `obstore`.

Credentials come from the environment, where that library looks for them (`AWS_*`, `GOOGLE_*`, `AZURE_*`), and are in no
message. Every request has a time limit of its own; whoever makes several of them brings a `Deadline`.
"""

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from storage.files import StoreError
from storage.garbage import MARKER as HOMES_MARKER

if TYPE_CHECKING:
    from obstore.store import ObjectStore  # an optional package, imported with the first request

CHUNK = 8 * 2**20
"""Bytes of a part of an upload, and of a request of a download."""
PARTS = 10_000
"""Of one upload, at most: the limit of S3."""
AT_ONCE = 4
"""Parts of an upload on their way, and files that are read side by side."""
SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "file")
FORMS = "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or an absolute path"
_STAGED = re.compile("[0-9a-f]{64}#[0-9]+")
"""A file that the library is writing in a folder."""
_TRUE = ("1", "true", "yes", "on")
_STATUS = re.compile(r"non-2xx status code: (\d+ ?[A-Za-z ]*)")
_CODE = re.compile(r"<Code>\s*([^<]{1,80}?)\s*</Code>")
_MESSAGE = re.compile(r"<Message>\s*([^<]{1,200}?)\s*</Message>")
_QUERY = re.compile(r"\?[^\s\"']*")
_METADATA_SERVER = "169.254.169.254"
"""Where the library asks for credentials when the environment has none."""
_DENIED = re.compile(r"<Code>AccessDenied<|AuthorizationPermissionMismatch|os error (1|13|30)\b|status code: 403[^<]*$")
"""Who asks is known and may not do this."""
_REFUSED = re.compile(
    r"status code: 40[13]\b|ExpiredToken|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|InvalidToken"
    r"|AuthenticationFailed"
)


class RemoteError(StoreError):
    """The shared store cannot do what was asked; what lies on this machine is as it was."""


class RemoteReadOnlyError(RemoteError):
    """This machine may read the shared store and not write there."""


class RemoteDamagedError(RemoteError):
    """What lies in the shared store is not what it says."""

    def __init__(self, message: str, *, digest: str = "") -> None:
        """`digest` is that of the page whose object is damaged, where the page itself is sound."""
        super().__init__(message)
        self.digest = digest


@dataclass(frozen=True)
class Patience:
    """How long one request may take before it counts as failed, and how often it is made again."""

    connect: float = 5.0
    """Seconds until there is a connection."""
    request: float = 30.0
    """Seconds of one request, its bytes included."""
    retries: int = 2
    altogether: float = 60.0
    """Seconds of a request with its repetitions."""


QUICK = Patience(connect=2.0, request=4.0, retries=0, altogether=4.0)
"""Of a look whether anybody is there."""


class Deadline:
    """The moment at which several requests together have taken too long."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._end = seconds, time.monotonic() + seconds

    def check(self) -> None:
        """Raise `RemoteError` when it is over."""
        if time.monotonic() > self._end:
            raise RemoteError(f"the shared store is too slow: it took more than {self.seconds:.0f} s")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object of the bucket."""

    name: str
    """Relative to the prefix."""
    size: int
    """Bytes."""
    modified: datetime
    """Time zone UTC, by the clock of the bucket."""


@dataclass(frozen=True)
class Bucket:
    """A bucket below a prefix. Whatever goes wrong in it is a `RemoteError`."""

    url: str
    patience: Patience = field(default_factory=Patience)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Everything below a prefix that ends in a slash, in no order; nothing where there is none of it."""
        with _asked(f"list {prefix}"):
            import obstore

            for batch in obstore.list(self._store, prefix=prefix):
                for one in batch:
                    yield Entry(name=one["path"], size=one["size"], modified=one["last_modified"])

    def read(self, name: str, *, at_most: int) -> bytes | None:
        """All bytes of a small object, None where there is none; `RemoteDamagedError` above `at_most` bytes."""
        self._demand_plain_file(name)
        with _asked(f"read {name}"):
            import obstore

            try:
                found = obstore.get(self._store, name)
            except FileNotFoundError:
                return None
            if found.meta["size"] > at_most:
                raise RemoteDamagedError(f"{name} has {found.meta['size']:,} bytes, more than {at_most:,}")
            return bytes(found.bytes())

    def chunks(self, name: str, size: int, *, deadline: Deadline) -> Iterator[bytes]:
        """The bytes of a large object, a request for each chunk; fewer than `size` when it has fewer."""
        self._demand_plain_file(name)
        for start in range(0, size, CHUNK):
            deadline.check()
            with _asked(f"read {name}"):
                import obstore

                chunk = bytes(obstore.get_range(self._store, name, start=start, length=min(CHUNK, size - start)))
            yield chunk

    def write(self, name: str, content: bytes, *, replace: bool = True) -> bool:
        """Put a small object in one step; whether it was put: without `replace` an object that is there stays."""
        with _asked(f"write {name}", RemoteReadOnlyError):
            import obstore
            from obstore.exceptions import AlreadyExistsError

            try:
                obstore.put(self._store, name, content, mode="overwrite" if replace else "create")
            except AlreadyExistsError:
                return False
        self._open_to_others(name)
        return True

    def upload(self, name: str, content: Iterable[bytes], *, size: int, deadline: Deadline) -> None:
        """Put a large object part by part; it appears when all of it is there, or, after an error, not at all.

        Args:
            name: of the object; what was there before is replaced.
            content: its bytes in chunks; an error that they raise leaves the object as it was.
            size: of all chunks, by which the length of a part is chosen.
            deadline: looked at before every chunk.
        """
        with _asked(f"write {name}", RemoteReadOnlyError):
            import obstore

            part = max(CHUNK, -(-size // (PARTS - 1)))
            with obstore.open_writer(self._store, name, buffer_size=part, max_concurrency=AT_ONCE) as file:
                for chunk in content:
                    deadline.check()
                    file.write(chunk)
        self._open_to_others(name)

    def abandoned(self, prefix: str) -> Iterator[Entry]:
        """In a folder, what killed uploads left; a bucket keeps that out of sight (docs/shared_store.md)."""
        if (folder := self.folder) is None:
            return
        with _asked(f"list {prefix}"):
            for path in sorted((folder / prefix).rglob("*#*")):
                if _STAGED.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                    found = path.stat()
                    modified = datetime.fromtimestamp(found.st_mtime, UTC)
                    yield Entry(name=path.relative_to(folder).as_posix(), size=found.st_size, modified=modified)

    def delete(self, name: str) -> bool:
        """Remove an object, unless it lies behind a link; whether it was removed. One that is gone was."""
        folder = self.folder
        if folder is not None and (folder / name).resolve() != folder.resolve() / name:
            return False
        if folder is not None and _STAGED.fullmatch(Path(name).name):
            with _asked(f"delete {name}"):
                (folder / name).unlink(missing_ok=True)
            return True
        with _asked(f"delete {name}"), suppress(FileNotFoundError):
            import obstore

            obstore.delete(self._store, name)
        return True

    @property
    def folder(self) -> Path | None:
        """The folder that the bucket is, if it is one."""
        scheme, path = _parts(self.url)
        return Path(path) if scheme == "file" else None

    @cached_property
    def _store(self) -> "ObjectStore":
        folder, limits = self.folder, self.patience
        try:
            from obstore.store import LocalStore, from_url
        except ImportError as error:
            raise RemoteError("the package obstore is missing: pip install 'wordmask[remote]'") from error
        if folder is not None:
            if not folder.is_dir():
                raise RemoteError(f"{folder} is no folder; mount it, or make it once by hand")
            if (folder / HOMES_MARKER).exists():
                raise RemoteError(f"{folder} is the store of a home; a shared store needs a folder of its own")
            return LocalStore(folder)
        plain = os.environ.get("AWS_ALLOW_HTTP", os.environ.get("AZURE_ALLOW_HTTP", "")).lower() in _TRUE
        return from_url(
            self.url,
            client_options={
                "allow_http": plain,
                "connect_timeout": timedelta(seconds=limits.connect),
                "timeout": timedelta(seconds=limits.request),
            },
            retry_config={
                "max_retries": limits.retries,
                "retry_timeout": timedelta(seconds=limits.altogether),
                "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2)},
            },
        )

    def _demand_plain_file(self, name: str) -> None:
        """In a folder, refuse a pipe or a device, which would be waited for."""
        if (folder := self.folder) is not None and (folder / name).exists() and not (folder / name).is_file():
            raise RemoteDamagedError(f"{name} is no regular file")

    def _open_to_others(self, name: str) -> None:
        """In a folder, let those read (and write) who may do so in the folder itself, whatever the umask is."""
        if (folder := self.folder) is None:
            return
        mode = stat.S_IMODE(folder.stat().st_mode)
        path = folder / name
        with suppress(OSError):  # of someone else's folder the permissions are theirs
            path.chmod(mode & 0o666)
            for above in path.relative_to(folder).parents:
                if above != Path() and (folder / above).stat().st_uid == os.getuid():
                    (folder / above).chmod(mode)


def checked(url: str) -> str:
    """The address of a bucket; raises `RemoteError` where it is none, without repeating what may be a secret in it."""
    scheme, path = _parts(url)
    if scheme == "file":
        return f"file://{path}"
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        if scheme.startswith("abfs") and not (parts.password or parts.query or parts.fragment):
            return url  # abfss://container@account... names no user
        raise RemoteError("the address of the shared store holds a login or a query: give credentials by environment")
    if scheme not in SCHEMES or not parts.netloc or ".." in parts.path.split("/"):
        raise RemoteError(f"{_shown(url)} is no shared store; write {FORMS}")
    return url.rstrip("/")


def _parts(url: str) -> tuple[str, str]:
    """Scheme and path; a path by itself is a file's."""
    scheme, between, rest = url.partition("://")
    if not between:
        scheme, rest = "file", str(Path(url).expanduser())
    if scheme == "file" and not Path(rest).is_absolute():
        raise RemoteError(f"{_shown(url)} is no shared store; write {FORMS}")
    return scheme, rest


def _shown(url: str) -> str:
    return repr(_QUERY.sub("?...", re.sub(r"//[^/@]*@", "//...@", url))[:200])


@contextmanager
def _asked(what: str, denied: type[RemoteError] = RemoteError) -> Iterator[None]:
    """Errors of the library in one line, without what could be a secret; `denied` where a permission is missing."""
    try:
        yield
    except StoreError:
        raise
    except (GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        kind = type(error)
        if not isinstance(error, (OSError, ValueError)) and kind.__module__.split(".")[0] not in _LIBRARY:
            raise
        failed = denied if _DENIED.search(str(error)[:2000]) else RemoteError
        raise failed(f"cannot {what}: {_reason(error)}") from None  # the library's own text may hold addresses


_LIBRARY = ("obstore", "pyo3_runtime")
"""Modules of its errors; those of the second are its own faults."""


def _reason(error: Any) -> str:
    text = str(error)
    if _METADATA_SERVER in text:
        return "no credentials in the environment (see docs/shared_store.md)"
    code, message, status = _CODE.search(text), _MESSAGE.search(text), _STATUS.search(text)
    told = ": ".join(found[1].strip() for found in (code or status, message) if found)
    told = told or _QUERY.sub("", text.partition("\n")[0])[:300]
    advice = "; renew the credentials in the environment" if _REFUSED.search(text[:2000]) else ""
    return f"{told}{advice}"
