"""Unpack a spaCy pipeline from its wheel or source archive: plain data files into one folder, and nothing else.

No code of it runs, none is unpacked, and nothing is written outside the folder, which appears as a whole or not at all.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ops.refusal import Refused
from resources.model_files import said
from storage.files import explain, make_folder, sync_folder

CONFIG = "config.cfg"
CODE = {
    ".py",
    ".pyc",
    ".pyo",
    ".pyd",
    ".so",
    ".dll",
    ".dylib",
    ".exe",
    ".sh",
    ".bat",
    ".pkl",
    ".pickle",
    ".pth",
    ".jar",
}
MOST_FILES = 5_000
MOST_BYTES = 4 << 30
"""Unpacked; the largest published pipeline has half a gigabyte."""
UNPACKING = ".unpacking"
Member = tuple[int, Callable[[], IO[bytes]]]
"""Bytes that it unpacks to, and what opens it."""
Members = dict[str, Member]
"""Name -> regular file."""


def unpack(archive: Path, target: Path) -> None:
    """Put the pipeline of an archive where `spacy.load(target)` reads it; what was there before is replaced.

    Raises:
        Refused: it is no archive of one pipeline, holds code or links among its data, or unpacks to too much.
        StoreError: the disk refuses.
    """
    with _members(archive) as members:
        data = _pipeline(members, archive.name)
        beside = target.with_name(target.name + UNPACKING)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            for path, name in data.items():
                _copy(members[name], beside / path)
            with explain(target):
                shutil.rmtree(target, ignore_errors=True)
                beside.replace(target)
                sync_folder(target.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _pipeline(members: Members, archive: str) -> dict[PurePosixPath, str]:
    """Path below the pipeline's folder -> name in the archive."""
    configs = sorted((PurePosixPath(name) for name in members if name.endswith(f"/{CONFIG}")), key=_depth)
    if not configs or (len(configs) > 1 and _depth(configs[1]) == _depth(configs[0])):
        raise Refused(f"{archive} holds {'several' if configs else 'no'} spaCy pipelines; one is wanted")
    root = configs[0].parent
    paths = {name: PurePosixPath(name) for name in members}
    data = {path.relative_to(root): name for name, path in paths.items() if path.is_relative_to(root)}
    if wrong := next((str(path) for path in data if path.suffix.lower() in CODE), None):
        raise Refused(f"{archive} holds code among its data ({wrong}), which is not unpacked; install it as a package")
    if len(data) > MOST_FILES or sum(members[name][0] for name in data.values()) > MOST_BYTES:
        raise Refused(f"{archive} unpacks to more than a spaCy pipeline has; is it the right file?")
    return data


def _depth(path: PurePosixPath) -> int:
    return len(path.parts)


def _copy(member: Member, path: Path) -> None:
    size, opened = member
    make_folder(path.parent)
    with opened() as source, explain(path), path.open("xb") as file:
        while block := source.read(min(1 << 20, size + 1 - file.tell())):
            file.write(block)
            if file.tell() > size:
                raise Refused(f"{path.name} unpacks to more than its archive says")


@contextmanager
def _members(archive: Path) -> Iterator[Members]:
    """The regular files of an archive.

    Raises:
        Refused: it is no archive or a broken one, or a name in it leads elsewhere, stands twice, or is no plain file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                yield _checked(((item.filename, _of_zip(packed, item)) for item in packed.infolist()), archive.name)
        else:
            with tarfile.open(archive) as packed_tar:
                yield _checked(((item.name, _of_tar(packed_tar, item)) for item in packed_tar), archive.name)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError) as problem:
        raise Refused(f"{archive.name} can not be unpacked ({said(problem)}); fetch it again") from problem


def _checked(items: Iterable[tuple[str, Member | None]], archive: str) -> Members:
    members: Members = {}
    for name, member in items:
        parts = name.rstrip("/").split("/")
        if {"", ".", ".."} & set(parts) or "\\" in name or ":" in parts[0] or not name.isprintable():
            raise Refused(
                f"{archive} names {said_name(name)}, which leads out of its folder; nothing of it was unpacked"
            )
        if member is None:
            continue
        if name in members:
            raise Refused(f"{archive} holds {name} twice; nothing of it was unpacked")
        members[name] = member
        if len(members) > MOST_FILES:
            raise Refused(f"{archive} holds more files than a spaCy pipeline has; is it the right file?")
    return members


def said_name(name: str) -> str:
    """A name from an archive, as text in a message."""
    return repr(name[:80])


def _of_zip(packed: zipfile.ZipFile, item: zipfile.ZipInfo) -> Member | None:
    """A file of a zip archive; None: a folder."""
    if item.is_dir():
        return None
    kind = stat.S_IFMT(item.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or item.flag_bits & 1:
        raise Refused(f"{packed.filename} holds {said_name(item.filename)}, which is no plain file")
    return item.file_size, lambda: packed.open(item)


def _of_tar(packed: tarfile.TarFile, item: tarfile.TarInfo) -> Member | None:
    """A file of a tar archive; None: a folder."""
    if item.isdir():
        return None
    if not item.isreg():
        raise Refused(f"{Path(str(packed.name)).name} holds {said_name(item.name)}, which is no plain file")

    def opened() -> IO[bytes]:
        file = packed.extractfile(item)
        assert file is not None  # a regular file
        return file

    return item.size, opened
