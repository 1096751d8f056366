"""Results in a folder of a person's own: nothing is written over that this very input did not write.

A list in that folder says of every file which input it came from and what its bytes were. A file that another input
wrote, that a person changed or put there stays as it is, and what would have had its name gets another one.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from unicodedata import normalize

from storage.files import StoreError, explain, make_folder, read_if_there, sha256_of, write_bytes
from storage.locks import exclusive

LIST = ".wordmask.jsonl"
LOCK = ".wordmask.lock"
LONGEST = 120
"""Bytes of a name before its ending; file systems take 255, encrypted ones 143."""
_FOREIGN = frozenset('/\\:*?"<>|')
"""What some file system refuses in a name."""
Origin = tuple[str, str]
"""Digest of the input, and of the bytes."""


@dataclass(frozen=True)
class Outputs:
    """Where the results of one input go, while nobody else writes into the folder."""

    folder: Path
    base: str
    """Begins the name of every file; a name of its own, see `outputs`."""
    of: str
    known: Mapping[str, frozenset[Origin]]

    def path(self, ending: str) -> Path:
        """The file of an ending."""
        return self.folder / f"{self.base}{ending}"

    def write(self, ending: str, content: bytes) -> Path:
        """Write a file; `StoreError` when the disk refuses."""
        path, name = self.path(ending), f"{self.base}{ending}"
        origin = (self.of, hashlib.sha256(content).hexdigest())
        if origin not in self.known.get(name, ()):
            _note(self.folder, name, origin)  # before the file is there: a kill in between leaves nothing of nobody
        write_bytes(path, content)
        return path

    def keep_only(self, endings: Collection[str]) -> None:
        """Delete what this input wrote under its name before and now no longer does; what a person changed stays."""
        kept = {f"{self.base}{ending}" for ending in endings}
        for name, origins in self.known.items():
            parts = name.split("/")
            if parts[0] != self.base or name in kept or not {"", ".", ".."}.isdisjoint(parts):
                continue
            path = self.folder / name
            if path.resolve() == self.folder.resolve() / name and _is_ours(path, origins, self.of):
                with explain(path, act="delete"):
                    path.unlink()


@contextmanager
def outputs(folder: Path, wished: str, endings: Sequence[str], *, of: str, timeout: float = 60) -> Iterator[Outputs]:
    """Where files go that are named by what they were made from.

    Args:
        folder: a person's own; it is made where it is missing.
        wished: begins their names, if no file of another origin has one of them, in whatever letters; otherwise, and
            where it is no good name, something like it does.
        endings: of all files; an ending may begin with a folder, such as `/masks/1.png`.
        of: digest of all that they are made from.
        timeout: seconds to wait for another process that writes there.

    Raises:
        StoreError: the disk refuses.
    """
    make_folder(folder)
    with exclusive(folder / LOCK, timeout=timeout):
        known = _known(folder)
        name = file_name(wished)
        others = (f"{name}-{of[:8]}{'' if number == 1 else f'-{number}'}" for number in count(1))
        base = name
        while not _is_free(folder, [f"{base}{ending}" for ending in endings], known, of):
            base = next(others)
        yield Outputs(folder, base, of, known)


def file_name(wished: str) -> str:
    """A beginning of a file's name that every disk takes, and no program for an option or for hidden."""
    signs = (sign if sign.isprintable() and sign not in _FOREIGN else "_" for sign in normalize("NFC", wished))
    name = "".join(signs).strip(" .")
    name = f"_{name}" if name.startswith("-") else name
    return name.encode()[:LONGEST].decode(errors="ignore").rstrip(" .") or "unnamed"


def _is_free(folder: Path, names: Sequence[str], known: Mapping[str, frozenset[Origin]], of: str) -> bool:
    """Whether each file is absent, or written from the same input and untouched since."""
    there = {
        _folded(f"{parent}{entry}"): f"{parent}{entry}"
        for parent in {name[: name.rfind("/") + 1] for name in names}
        for entry in _entries(folder / parent)
    }
    for name in names:
        found = there.get(_folded(name))
        if found is not None and (found != name or not _is_ours(folder / name, known.get(name, frozenset()), of)):
            return False
    return True


def _is_ours(path: Path, origins: frozenset[Origin], of: str) -> bool:
    ours = {digest for origin, digest in origins if origin == of}
    return bool(ours) and path.is_file() and not path.is_symlink() and sha256_of(path) in ours


def _entries(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _folded(name: str) -> str:
    """Equal for names that some disk takes for one."""
    return normalize("NFC", normalize("NFD", name).casefold())


def _known(folder: Path) -> dict[str, frozenset[Origin]]:
    """Name -> where it came from; a damaged line says nothing."""
    known: dict[str, frozenset[Origin]] = {}
    for line in _listed(folder / LIST):
        try:
            name, of, digest = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            continue
        if all(isinstance(part, str) for part in (name, of, digest)):
            known[name] = known.get(name, frozenset()) | {(of, digest)}
    return known


def _listed(path: Path) -> list[bytes]:
    """Lines of the list; `StoreError` where something else has its name, so that nothing is written through a link."""
    with explain(path, act="read"):
        if path.is_symlink():
            raise StoreError(f"{path} is a link, and the list of what was written there is none; move it away.")
        return (read_if_there(path) or b"").splitlines()


def _note(folder: Path, name: str, origin: Origin) -> None:
    with explain(folder / LIST), (folder / LIST).open("ab") as file:
        file.write(f"\n{json.dumps([name, *origin])}".encode())  # also after a line that broke off
