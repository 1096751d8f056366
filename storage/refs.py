"""Refs: files that say which object a key means now, and what its manifest was."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.digest import digest
from storage.files import StoreError, entries_below, explain, read_if_there, safe_part, write_bytes

SUM = "sum"
"""Digest of the rest of a ref's page."""


@dataclass(frozen=True, kw_only=True)
class Ref:
    """What a key means."""

    key: tuple[str, ...]
    stage: str
    fingerprint: str
    planned: str
    """Recipe under which the key was pointed at the object."""
    manifest: str = ""
    """SHA-256 of the object's manifest; empty in a ref of an earlier version."""

    def object_in(self, root: Path) -> Path:
        """Where the object lies."""
        return root / "objects" / self.stage / self.fingerprint


def ref_path(root: Path, key: tuple[str, ...]) -> Path:
    """The file of a key; `StoreError` when it cannot be one."""
    if not key:
        raise StoreError("A key needs at least one part, such as [data set, experiment, stage].")
    parts = [safe_part(part) for part in key]
    return root.joinpath("refs", *parts[:-1], f"{parts[-1]}.json")


def key_of(root: Path, path: Path) -> tuple[str, ...]:
    """The key whose file this is."""
    return path.relative_to(root / "refs").with_suffix("").parts


def ref_files(root: Path) -> list[Path]:
    """Every ref, sorted; `StoreError` when a folder among them may not be read."""
    return sorted(Path(entry.path) for entry in _files(root / "refs") if entry.name.endswith(".json"))


def write_ref(root: Path, ref: Ref) -> None:
    """Let a key mean an object from now on, in one step."""
    write_bytes(ref_path(root, ref.key), page_of(ref))


def page_of(ref: Ref) -> bytes:
    """The bytes of a ref's file."""
    page = {**asdict(ref), "key": list(ref.key)}
    return (json.dumps({**page, SUM: digest(page)}, indent=2) + "\n").encode()


def read_ref(root: Path, path: Path) -> Ref | None:
    """What a ref says; None where there is no such file.

    Raises:
        StoreError: it is damaged, or cannot be read.
    """
    try:
        with explain(path, act="read"):
            content = read_if_there(path)
        return None if content is None else parse_ref(content, key_of(root, path))
    except ValueError as error:
        raise StoreError(
            f"{path} is damaged ({error}); materialize {'/'.join(key_of(root, path))} again, or delete the file."
        ) from error


def parse_ref(content: bytes, key: tuple[str, ...]) -> Ref:
    """What the bytes of a key's ref say; `ValueError` when they are damaged or belong to another key."""
    try:
        return _parsed(json.loads(content), key)
    except (KeyError, TypeError, AttributeError, RecursionError, StoreError) as error:
        raise ValueError(str(error)) from error


def _parsed(page: object, key: tuple[str, ...]) -> Ref:
    if not isinstance(page, dict):
        raise ValueError("it is no JSON object")
    summed = page.pop(SUM, None)
    if summed is None:
        if "manifest" in page:
            raise ValueError("its sum is missing")
    elif digest(page) != summed:
        raise ValueError("its sum differs")
    texts = {name: value for name, value in page.items() if name != "key" and isinstance(value, str)}
    ref = Ref(key=key, **texts)
    if page["key"] != list(key) or len(texts) != len(page) - 1:
        raise ValueError("it belongs to another key, or holds what is no text")
    safe_part(ref.stage), safe_part(ref.fingerprint)
    return ref


def _files(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[os.DirEntry[str]]:
    """All but folders, also behind links to folders; a link to a folder above itself leads nowhere new."""
    above |= {os.path.realpath(folder)}
    for entry in entries_below(folder):
        with explain(Path(entry.path), act="read"):
            is_folder = entry.is_dir()
        if not is_folder:
            yield entry
        elif entry.is_symlink() and os.path.realpath(entry.path) not in above:
            yield from _files(Path(entry.path), above)
