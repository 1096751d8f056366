"""Artifacts in a shared bucket: files first, then one page that makes them an object, and the first page wins.

    objects/<stage>/<fingerprint>/<SHA-256>        a file, named by its own bytes: nobody writes over another's
    objects/<stage>/<fingerprint>/manifest.json    the page: the manifest and its digest
    refs/<project>/<a>/<b>/<stage>.json            which object a key means to those who share a project's name
    WORDMASK_SHARED_STORE                          says that all this is one

Two machines that made the same object at once have two manifests (the hour, the seconds, or even the last bit of a
number differ). The page is put only where there is none yet; who comes second takes over what the first one put.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from storage.files import (
    TEMPORARY,
    StoreError,
    explain,
    growing_file,
    make_folder,
    open_regular,
    safe_part,
    sha256_of,
    write_bytes,
)
from storage.manifest import MANIFEST, FileSum, Manifest, parse_manifest
from storage.remote.bucket import AT_ONCE, CHUNK, Bucket, Deadline, RemoteDamagedError, RemoteError

MARKER = "WORDMASK_SHARED_STORE"
"""Object that a shared store has since the first result was sent; without it nothing is deleted."""
MARK = b"Signature: wordmask-shared-store\n# wordmask keeps results here, and deletes here what no project means.\n"
LARGEST_MARK = 4096
"""Bytes that are read of it."""
LARGEST_PAGE = 64 * 2**20
"""Bytes of a page that is read; of an artifact of 100,000 files it has 15 MB."""
GRACE_SECONDS = 60.0
"""That an object may take, whatever its size."""
BYTES_PER_SECOND = 1e6
"""A bucket that is slower than this on the whole is given up."""
_SHA256 = re.compile("[0-9a-f]{64}")
_PAGE_NAMES = re.compile(rf"objects/([^/]+)/([^/]+)/({_SHA256.pattern}|{re.escape(MANIFEST)})")


class Place(NamedTuple):
    """Which object."""

    stage: str
    fingerprint: str

    @property
    def prefix(self) -> str:
        """Where it lies, with a slash at the end."""
        return f"objects/{safe_part(self.stage)}/{safe_part(self.fingerprint)}/"

    def __str__(self) -> str:
        """As a message names it."""
        return f"{self.stage} {self.fingerprint}"


@dataclass(frozen=True, kw_only=True)
class Page:
    """What makes files an object."""

    content: bytes
    """The manifest, byte for byte."""
    manifest: Manifest

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, as refs and the index hold it."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def sizes(self) -> dict[str, int]:
        """SHA-256 -> bytes of every file."""
        return {entry.sha256: entry.size for entry in self.manifest.checksums.values()}

    def to_json(self) -> bytes:
        """The bytes of the page."""
        return json.dumps({"sha256": self.digest, "manifest": self.content.decode()}).encode()


def place_of(name: str) -> Place | None:
    """To which object a name of the bucket belongs; None where it is no name that `send` gives."""
    found = _PAGE_NAMES.fullmatch(name)
    try:
        return Place(safe_part(found[1]), safe_part(found[2])) if found else None
    except StoreError:
        return None


def read_page(bucket: Bucket, place: Place) -> Page | None:
    """The page of an object; None where there is none.

    Raises:
        RemoteDamagedError: it is not what was put, is another object's, or names files that would leave their folder.
        RemoteError: the bucket cannot be asked.
    """
    name = f"{place.prefix}{MANIFEST}"
    raw = bucket.read(name, at_most=LARGEST_PAGE)
    if raw is None:
        return None
    try:
        told = json.loads(raw)
        content = told["manifest"].encode()
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            raise ValueError("its digest differs")
        page = Page(content=content, manifest=parse_manifest(content))
        _demand_plain(page.manifest, place)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RemoteDamagedError(f"{name} is damaged ({error})") from error
    return page


def own_page(folder: Path) -> Page:
    """The page of an object of this machine; `StoreError` when its manifest is damaged."""
    path = folder / MANIFEST
    with explain(path, act="read"):
        content = path.read_bytes()
    try:
        return Page(content=content, manifest=parse_manifest(content))
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}); run the stage again with force.") from error


def fetch(bucket: Bucket, place: Place, page: Page, *, into: Path, beside: Path | None = None) -> None:
    """Bring a whole object into a folder, its manifest last; what lies there from before and is right is kept.

    Args:
        bucket: where it lies.
        place: which one.
        page: its page.
        into: a private folder; after an error it holds what had come.
        beside: an object some of whose files may be the same, which are then linked.

    Raises:
        RemoteDamagedError: a file is missing, or is not what the page says.
        RemoteError: the bucket cannot be asked, or is too slow.
        StoreError: the disk refuses.
    """
    if lacking := _lacking(bucket, place, page):
        raise RemoteDamagedError(f"{place.prefix}{lacking[0]} is missing or has another size")
    deadline = Deadline(GRACE_SECONDS + sum(page.sizes.values()) / BYTES_PER_SECOND)
    wanted = page.manifest.checksums
    make_folder(into)
    _drop_others(into, wanted)

    def bring(name: str) -> None:
        path, entry = into / name, wanted[name]
        if not _is(path, entry) and not (beside and _linked(beside / name, path, entry)):
            _download(bucket, f"{place.prefix}{entry.sha256}", path, entry, deadline)

    _side_by_side(bring, wanted)
    write_bytes(into / MANIFEST, page.content)


def send(bucket: Bucket, place: Place, folder: Path, *, replacing: str | None = None) -> Page | None:
    """Put an object of this machine into the bucket; the page of another's that was there first, or None.

    Args:
        bucket: where to.
        place: which object.
        folder: holds it; it is not changed.
        replacing: digest of a page whose object was found damaged, or empty for one that could not be read: all is put
            anew, unless another page stands there by now.

    Raises:
        RemoteError: the bucket cannot be asked, or is too slow; then nobody sees an object that is not whole.
        StoreError: a file of the folder is not what its manifest says, or cannot be read.
    """
    own = own_page(folder)
    try:
        theirs = read_page(bucket, place)
    except RemoteDamagedError:
        theirs, replacing = None, ""
    anew = replacing is not None and (theirs is None or theirs.digest == replacing)
    if theirs and not anew and not _lacking(bucket, place, theirs):
        return theirs if theirs.digest != own.digest else None
    bucket.write(MARKER, MARK, replace=False)
    _send_files(bucket, place, folder, own, known=set() if anew else set(own.sizes) - set(_lacking(bucket, place, own)))
    if not bucket.write(f"{place.prefix}{MANIFEST}", own.to_json(), replace=anew or theirs is not None):
        theirs = read_page(bucket, place)
        if theirs is None:
            raise RemoteError(f"{place.prefix} came and went meanwhile; send it again")
        return theirs if theirs.digest != own.digest else None
    if lost := _lacking(bucket, place, own):  # a collection took old files of an unfinished upload away meanwhile
        _send_files(bucket, place, folder, own, known=set(own.sizes) - set(lost))
    return None


def _lacking(bucket: Bucket, place: Place, page: Page) -> list[str]:
    """Files of a page, by SHA-256, that are not in the bucket in their size."""
    there = {entry.name.removeprefix(place.prefix): entry.size for entry in bucket.entries(place.prefix)}
    return [name for name, size in page.sizes.items() if there.get(name) != size]


def _send_files(bucket: Bucket, place: Place, folder: Path, page: Page, *, known: set[str]) -> None:
    deadline = Deadline(GRACE_SECONDS + sum(page.sizes.values()) / BYTES_PER_SECOND)
    by_sum = {entry.sha256: name for name, entry in page.manifest.checksums.items() if entry.sha256 not in known}

    def put(sha256: str) -> None:
        name, size = by_sum[sha256], page.sizes[sha256]
        chunks = _summed(folder / name, page.manifest.checksums[name])
        bucket.upload(f"{place.prefix}{sha256}", chunks, size=size, deadline=deadline)

    _side_by_side(put, by_sum)


def _summed(path: Path, entry: FileSum) -> Iterator[bytes]:
    """The chunks of a file; an error in the place of the end when they are not what the manifest says."""
    total = hashlib.sha256()
    with explain(path, act="read"), open_regular(path) as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
            yield chunk
    if total.hexdigest() != entry.sha256:
        raise StoreError(f"{path} is damaged (its SHA-256 differs); run the stage that makes it again with force.")


def _download(bucket: Bucket, name: str, path: Path, entry: FileSum, deadline: Deadline) -> None:
    total = hashlib.sha256()
    make_folder(path.parent)
    with explain(path):
        path.unlink(missing_ok=True)  # it may be a second name of a file of another object
    with growing_file(path, size=entry.size) as append:
        for chunk in bucket.chunks(name, entry.size, deadline=deadline):
            total.update(chunk)
            append(chunk)
        if total.hexdigest() != entry.sha256:
            raise RemoteDamagedError(f"{name} is damaged (its SHA-256 differs)")


def _side_by_side(bring: Callable[[str], None], names: Iterable[str]) -> None:
    """A few files at a time; the first error ends it."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for _ in pool.map(bring, names):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _is(path: Path, entry: FileSum) -> bool:
    """Whether a file is what the manifest says."""
    try:
        return path.stat().st_size == entry.size and sha256_of(path) == entry.sha256
    except OSError:
        return False


def _linked(source: Path, path: Path, entry: FileSum) -> bool:
    """Whether an equal file of another object, which nobody changes either, could be given a second name."""
    if not _is(source, entry):
        return False
    make_folder(path.parent)
    with suppress(OSError):
        path.unlink(missing_ok=True)
        os.link(source, path)
        return True
    return False


def _drop_others(into: Path, wanted: Mapping[str, FileSum]) -> None:
    """Remove what an earlier attempt at another result left."""
    folders = {above.as_posix() for name in wanted for above in PurePosixPath(name).parents}
    with explain(into):
        for path in sorted(into.rglob("*"), reverse=True):
            name = path.relative_to(into).as_posix()
            if not path.is_dir():
                if name not in wanted:
                    path.unlink()
            elif name not in folders:
                shutil.rmtree(path)


def _demand_plain(manifest: Manifest, place: Place) -> None:
    """Raise `ValueError` unless the manifest is the object's own, and its files can lie in its folder only."""
    if (manifest.stage, manifest.fingerprint) != (place.stage, place.fingerprint):
        raise ValueError("it is that of another object")
    for name, entry in manifest.checksums.items():
        parts = name.split("/")
        if not all(parts) or {".", ".."} & set(parts) or re.search(r"[\\\x00-\x1f]", name) or name == MANIFEST:
            raise ValueError("a file in it has a name that leads elsewhere")
        if name.endswith(TEMPORARY):
            raise ValueError("a file in it has a name of unfinished work")
        sound = isinstance(entry.sha256, str) and _SHA256.fullmatch(entry.sha256)
        if not sound or type(entry.size) is not int or entry.size < 0:
            raise ValueError("a checksum in it is none")
    sizes: dict[str, int] = {}
    if any(sizes.setdefault(entry.sha256, entry.size) != entry.size for entry in manifest.checksums.values()):
        raise ValueError("a file in it has two sizes")
