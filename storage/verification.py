"""Whether the files of an artifact are what its manifest says, and its manifest what the store says."""

from pathlib import Path

from storage.files import StoreError, entries_below, sha256_of
from storage.index import check_manifest
from storage.manifest import MANIFEST, FileSum, read_manifest


def problems_of(root: Path, folder: Path) -> tuple[str, ...]:
    """One sentence per damaged, missing or foreign file of an object; none when it is sound.

    An object that a forced run replaces meanwhile is read again.
    """
    seen = None
    while True:
        problems, now = _problems(root, folder), _manifest_sum(folder)
        if not problems or now == seen:
            return problems
        seen = now


def is_sound(folder: Path) -> bool:
    """Whether a folder holds what its manifest says."""
    try:
        known = read_manifest(folder).checksums
    except StoreError:
        return False
    return not any(_compare(folder / name, name, entry) for name, entry in known.items())


def _problems(root: Path, folder: Path) -> tuple[str, ...]:
    try:
        check_manifest(root, folder)
        known = read_manifest(folder).checksums
        present = {Path(entry.path).relative_to(folder) for entry in entries_below(folder) if not entry.is_dir()}
    except StoreError as error:
        return (f"{MANIFEST}: {error}",)
    problems = [problem for name, entry in known.items() if (problem := _compare(folder / name, name, entry))]
    foreign = {path.as_posix() for path in present} - set(known) - {MANIFEST}
    return (*problems, *(f"{name}: does not belong to the artifact" for name in sorted(foreign)))


def _manifest_sum(folder: Path) -> str:
    try:
        return sha256_of(folder / MANIFEST)
    except OSError:
        return ""


def _compare(path: Path, name: str, entry: FileSum) -> str:
    try:
        if not path.is_file():
            return f"{name}: missing"
        size = path.stat().st_size
        if size != entry.size:
            return f"{name}: {size} bytes instead of {entry.size}"
        return "" if sha256_of(path) == entry.sha256 else f"{name}: content changed (SHA-256 differs)"
    except OSError as error:
        return f"{name}: cannot be read ({error.strerror})"
