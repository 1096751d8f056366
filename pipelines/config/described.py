"""What files describe, by name, and the files that were left out: one that is broken takes nothing else with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Generic, TypeVar

from ops.refusal import Refused
from pipelines.escaping import escaped

T = TypeVar("T")
LONGEST_NAME = 80
"""Characters of a wrong name that a message repeats."""
LISTED = 12
"""Names that a message lists."""


@dataclass(frozen=True)
class LeftOut:
    """A file that describes nothing."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """The file, and what is wrong with it."""
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Described(Mapping[str, T], Generic[T]):
    """What the files of one kind describe, by name."""

    kind: str
    """`experiment` or `data set`."""
    known: Mapping[str, T]
    paths: Mapping[str, Path]
    """Name -> the file that describes it."""
    left_out: tuple[LeftOut, ...] = ()
    more: str = ""
    """How there come to be others."""

    def __getitem__(self, name: str) -> T:
        """What is called so, as in any mapping; people's own words go through `named`."""
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        """Names."""
        return iter(self.known)

    def __len__(self) -> int:
        """How many are described."""
        return len(self.known)

    def named(self, name: str) -> T:
        """What is called so.

        Raises:
            Refused: the file of that name was left out, with its error; or there is none, with those that there are.
        """
        self.require_whole(name)
        if name not in self.known:
            known = f"known are {listed(self.known)}{self.more}"
            raise Refused(unknown(f"no {self.kind} is called", name, self.known, known))
        return self.known[name]

    def require_whole(self, name: str) -> None:
        """Refuse a name whose file was left out, with its error."""
        for file in self.left_out:
            if file.path.stem == name:
                raise Refused(str(file))

    def without(self, reasons: Mapping[str, str]) -> "Described[T]":
        """The same without some more that turned out to be wrong: name -> why."""
        known = {name: described for name, described in self.known.items() if name not in reasons}
        more = (LeftOut(self.paths[name], reason) for name, reason in reasons.items())
        return replace(self, known=known, left_out=(*self.left_out, *more))


def listed(names: Iterable[str]) -> str:
    """The first names of many, and how many more there are."""
    known = list(names)
    more = len(known) - LISTED
    return ", ".join(known[:LISTED]) + (f" and {more} more" if more > 0 else "")


def unknown(complaint: str, name: str, known: Iterable[str], otherwise: str) -> str:
    """A sentence about a name that means nothing: what is like it, and what there is."""
    near = get_close_matches(name, list(known), n=1)
    return f"{complaint} {escaped(name[:LONGEST_NAME])}; {f'did you mean {near[0]}? ' if near else ''}{otherwise}"
