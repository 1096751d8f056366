"""The files that a table names, each under one name however it is spelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath
from unicodedata import normalize

from resources.datasets.images import ImageProblem, safe_path
from resources.datasets.table_rows import shown

IMAGES = "images"
"""Folder in which a file may lie as well as beside the table."""

_Identity = tuple[int, int, str]
"""Device, inode, and where all links lead, in lower case: on some disks `A.jpg` and `a.jpg` are one file."""


class FileNames:
    """Where the files of a folder lie.

    What names the same file is the same name: `a.jpg`, `./a.jpg`, `images/a.jpg`, accents of one letter or two,
    backslashes of Windows, upper and lower case where no other file fits, a link to it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        self._files: dict[_Identity, str] = {}
        self._listed: dict[Path, Mapping[str, list[str]]] = {}

    def name_of(self, written: str) -> str:
        """The name, relative to the folder, under which a file was first found; as it is written if there is none.

        Raises:
            ImageProblem: the name leads out of the folder, can be no file's, or fits several.
        """
        if written not in self._names:
            try:
                self._names[written] = self._find(written)
            except OSError as problem:
                raise ImageProblem(
                    f"the file name {shown(written)!r} can not be used ({problem.strerror})"
                ) from problem
        return self._names[written]

    def _find(self, written: str) -> str:
        spellings = list(_spellings(self._root, written))
        places = [place for spelling in spellings for place in (spelling, f"{IMAGES}/{spelling}")]
        found = next((place for place in places if safe_path(self._root, place).is_file()), None)
        if found is None:
            similar = (self._similar(PurePosixPath(place).parts) for place in places)
            found = next((place for place in similar if place and safe_path(self._root, place).is_file()), None)
        return spellings[-1] if found is None else self._files.setdefault(self._identity(found), found)

    def _identity(self, place: str) -> _Identity:
        path = safe_path(self._root, place).resolve()
        stat = path.stat()
        return stat.st_dev, stat.st_ino, _folded(str(path))

    def _similar(self, parts: tuple[str, ...]) -> str | None:
        """Where the only file lies whose name differs by upper and lower case, or by the form of its accents."""
        place = ""
        for part in parts:
            names = self._names_in(safe_path(self._root, place) if place else self._root)
            fitting = names.get(_folded(part), [])
            if len(fitting) > 1 and part not in fitting:
                raise ImageProblem(
                    f"{shown(part)} may be any of {', '.join(map(shown, fitting))}; spell it as the file"
                )
            if not fitting:
                return None
            place = f"{place}/{part if part in fitting else fitting[0]}".lstrip("/")
        return place

    def _names_in(self, folder: Path) -> Mapping[str, list[str]]:
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            try:
                for path in sorted(folder.iterdir()):
                    names.setdefault(_folded(path.name), []).append(path.name)
            except OSError:  # no folder, or one that may not be listed: nothing is similar there
                names = {}
            self._listed[folder] = names
        return self._listed[folder]


def _spellings(root: Path, written: str) -> Iterator[str]:
    """The name as it is, and as it is meant if it was written on Windows."""
    try:
        safe_path(root, normpath(written))
        yield normpath(written)
    except ImageProblem:
        if "\\" not in written:
            raise
    if "\\" in written:
        meant = normpath(written.replace("\\", "/"))
        safe_path(root, meant)
        yield meant


def _folded(name: str) -> str:
    return normalize("NFC", normalize("NFC", name).casefold())
