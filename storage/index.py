"""The digest of every manifest: a manifest sums up all files of an artifact but itself.

A line of the index is a line of `sha256sum`. An object has two while a forced run replaces it, and either is right, so
that a kill in between leaves nothing that looks damaged.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from storage.files import StoreError, explain, read_if_there, sha256_of, write_bytes
from storage.locks import exclusive
from storage.manifest import MANIFEST
from storage.refs import read_ref, ref_files, write_ref

INDEX = "index.txt"
PATIENCE_SECONDS = 600.0
"""Longest wait for those who write to the index as well: each takes an instant."""

_LINE = re.compile(rf"([0-9a-f]{{64}})  (objects/[^/]+/[^/]+/{re.escape(MANIFEST)})")
Sums = Mapping[str, frozenset[str]]
"""`objects/<stage>/<fingerprint>/manifest.json` -> its digests."""


def index_problems(root: Path) -> tuple[str, ...]:
    """One sentence for each line of the index that is damaged."""
    lines = enumerate(_lines(root), start=1)
    return tuple(f"line {number} is damaged" for number, line in lines if not _LINE.fullmatch(line))


def note_manifest(root: Path, target: Path, content: Path) -> None:
    """Say that the manifest in the folder `content` is about to be that of the object `target`."""
    with _held(root):
        sums, name = _read(root), _name(root, target)
        with explain(target / MANIFEST, act="read"):
            old = {sha256_of(target / MANIFEST)} if (target / MANIFEST).exists() else set()
        digests = {sha256_of(content / MANIFEST)} | (old & sums.get(name, frozenset()))
        if sums.get(name, frozenset()) != digests:
            _write(root, {**sums, name: frozenset(digests)})


def forget_manifests(root: Path, targets: Iterable[Path]) -> None:
    """Drop the lines of those objects that are gone."""
    with _held(root):
        gone = {_name(root, target) for target in targets if not target.exists()}
        sums = _read(root)
        if gone & sums.keys():
            _write(root, {name: digests for name, digests in sums.items() if name not in gone})


def check_manifest(root: Path, target: Path, *, promised: str = "") -> str:
    """The digest of an object's manifest, when it is the one that a ref promises or the index notes.

    Where neither says anything, as in a store of an earlier version, the manifest is believed.

    Raises:
        StoreError: it is another, or cannot be read.
    """
    path = target / MANIFEST
    with explain(path, act="read"):
        found = sha256_of(path) if path.exists() else ""
    if not found or found != promised:
        noted = _read(root).get(_name(root, target), frozenset())
        if not found or (found not in noted and (noted or promised)):
            raise StoreError(
                f"{path} is missing or damaged ({'its SHA-256 differs' if found else 'no file'}); "
                "run the stage that makes it again with force."
            )
    return found


def adopt_manifests(root: Path, *, log: Callable[[str], None]) -> None:
    """Write the index of a store that has none: manifests and refs of an earlier version are believed, this once."""
    if (root / INDEX).exists():
        return
    with _held(root):
        if (root / INDEX).exists():
            return
        with explain(root / "objects", act="read"):
            paths = sorted((root / "objects").glob(f"*/*/{MANIFEST}"))
            sums = {_name(root, path.parent): frozenset({sha256_of(path)}) for path in paths}
        sums |= _adopt_refs(root, sums, log=log)
        _write(root, sums)
        if sums:
            log(
                f"{len(sums)} artifacts of an earlier version of wordmask are taken as they are; "
                f"from now on their manifests are compared with {INDEX}"
            )


def _adopt_refs(root: Path, sums: Sums, *, log: Callable[[str], None]) -> Sums:
    """Complete refs without the digest of a manifest; what the others promise."""
    promised = {}
    for path in ref_files(root):
        try:
            ref = read_ref(root, path)
        except StoreError as error:
            log(str(error))
            continue
        name = _name(root, ref.object_in(root)) if ref else ""
        if ref and ref.manifest:
            promised[name] = frozenset({ref.manifest})
        elif ref and name in sums:
            write_ref(root, replace(ref, manifest=next(iter(sums[name]))))
    return promised


def _held(root: Path) -> AbstractContextManager[None]:
    return exclusive(root / "locks" / ".index", timeout=PATIENCE_SECONDS)


def _lines(root: Path) -> list[str]:
    path = root / INDEX
    with explain(path, act="read"):
        return (read_if_there(path) or b"").decode("ascii", errors="replace").splitlines()


def _read(root: Path) -> dict[str, frozenset[str]]:
    """What the sound lines say."""
    sums: dict[str, frozenset[str]] = {}
    for line in filter(None, map(_LINE.fullmatch, _lines(root))):
        sums[line[2]] = sums.get(line[2], frozenset()) | {line[1]}
    return sums


def _write(root: Path, sums: Sums) -> None:
    lines = [f"{digest}  {name}\n" for name in sorted(sums) for digest in sorted(sums[name])]
    write_bytes(root / INDEX, "".join(lines).encode())


def _name(root: Path, target: Path) -> str:
    return (target / MANIFEST).relative_to(root).as_posix()
