"""What persons decided about referents' masks: lines that are only ever appended to `<home>/reviews/<data set>.csv`.

Referents and masks are named by content (`assets.ssc.review_keys`), never by number, so that a decision outlives other
candidates and new rows. A line says by itself whether it is whole: a kill in the middle of writing leaves one that is
not, which is ignored and told. Nothing heavy is imported here: every look at a plan's state may read such a file.
"""

import csv
import getpass
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from ops.refusal import Refused
from resources.opening import read_file
from resources.paths import home
from storage.digest import DIGEST_LENGTH, digest
from storage.files import explain, safe_part, sync_folder, write_bytes
from storage.locks import exclusive

Verdict = Literal["mask", "none", "absent"]
"""One of the candidates; none of them; the referent is not in the image."""
Said = Literal["mask", "none", "absent", "undo"]
"""What a line says; `undo` takes back the last verdict on the referent that still stands."""
COLUMNS = ("when", "who", "image", "referent", "decision", "mask")
MOST_BYTES = 1 << 28
LONGEST_NAME = 80
"""Characters of a person's name."""
_SAID: dict[str, Said] = {word: word for word in get_args(Said)}
_KEY = re.compile(f"[0-9a-f]{{{DIGEST_LENGTH}}}")
_IMAGE = re.compile("[0-9a-f]{64}")
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HEADER = f"{','.join(COLUMNS)}\n".encode()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A line."""

    when: str
    """UTC, ISO 8601, seconds."""
    who: str
    image: str
    """SHA-256 of the image's file."""
    referent: str
    """Content key."""
    decision: Said
    mask: str = ""
    """Content key of the chosen candidate; empty for other decisions."""

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of `COLUMNS`."""
        return (self.when, self.who, self.image, self.referent, self.decision, self.mask)


@dataclass(frozen=True)
class Reviews:
    """All lines of a data set."""

    lines: Sequence[Decision]
    damaged: Sequence[int] = ()
    """Numbers of lines that are not whole, or no decision; the header is line 1."""

    @cached_property
    def counted(self) -> dict[str, Decision]:
        """Referent -> the verdict that stands: the last one that was not taken back."""
        standing: dict[str, list[Decision]] = {}
        for line in self.lines:
            verdicts = standing.setdefault(line.referent, [])
            if line.decision != "undo":
                verdicts.append(line)
            elif verdicts:
                verdicts.pop()
        return {referent: verdicts[-1] for referent, verdicts in standing.items() if verdicts}

    @property
    def fingerprint(self) -> str:
        """Digest of the verdicts that stand, whoever gave them and when."""
        return digest({name: [verdict.decision, verdict.mask] for name, verdict in self.counted.items()})

    def earlier(self) -> Iterator["Reviews"]:
        """These, and what they were before each line, the latest first."""
        for count in range(len(self.lines), -1, -1):
            yield Reviews(self.lines[:count], self.damaged)

    @property
    def damage(self) -> str:
        """A sentence on the damaged lines; empty where there is none."""
        if not self.damaged:
            return ""
        named = ", ".join(map(str, self.damaged[:5])) + (" and more" if len(self.damaged) > 5 else "")
        return f"{len(self.damaged)} damaged lines do not count (line {named}): a writer was ended in their middle"


def reviews_file(dataset: str) -> Path:
    """Where the decisions about a data set lie; it need not be there."""
    return home() / "reviews" / f"{safe_part(dataset)}.csv"


def read_reviews(dataset: str) -> Reviews:
    """All decisions; none where nobody decided anything yet.

    Raises:
        Refused: the file can not be read, or is no table of decisions.
    """
    path = reviews_file(dataset)
    if not path.exists() and not path.is_symlink():
        return Reviews(())
    first, *rest = read_file(path, at_most=MOST_BYTES).decode("utf-8-sig", errors="replace").split("\n")
    if first.rstrip("\r") != ",".join(COLUMNS):
        raise Refused(f"{path} does not begin with {','.join(COLUMNS)}: move it away, and a new one is begun")
    numbered = [(number, line.rstrip("\r")) for number, line in enumerate(rest, 2) if line.strip()]
    found = [(number, _parsed(line)) for number, line in numbered]
    return Reviews(
        tuple(line for _, line in found if line is not None), tuple(number for number, line in found if line is None)
    )


def decide(dataset: str, who: str, *, image: str, referent: str, decision: Verdict, mask: str = "") -> Decision:
    """Append a verdict; it is on the disk when this returns.

    Args:
        dataset: whose referent it is.
        who: a name that `checked_who` let pass.
        image: SHA-256 of its file.
        referent: content key.
        decision: what is decided.
        mask: content key of the candidate, for `mask` alone.

    Raises:
        StoreError: the disk refuses; the line does not count, or only part of it was written and is ignored.
        ValueError: a key is no key.
    """
    line = Decision(when=_now(), who=who, image=image, referent=referent, decision=decision, mask=mask)
    with _writing(dataset):
        _append(reviews_file(dataset), line)
    return line


def undo(dataset: str, who: str, referent: str) -> Decision | None:
    """Take back a person's last verdict on a referent; the verdict that stands then, if any.

    Raises:
        Refused: none stands, or another person gave the one that does.
        StoreError: as `decide`.
    """
    with _writing(dataset):
        standing = read_reviews(dataset).counted.get(referent)
        if standing is None:
            raise Refused("nothing is decided about this referent any more: reload the page")
        if standing.who != who:
            raise Refused(f"{standing.who} has decided since, at {standing.when}: only they take that back")
        line = Decision(when=_now(), who=who, image=standing.image, referent=referent, decision="undo")
        _append(reviews_file(dataset), line)
    return read_reviews(dataset).counted.get(referent)


def checked_who(name: str | None) -> str:
    """The name that decisions are signed with; the login's where none is given.

    Raises:
        Refused: it can not stand in a table that a spreadsheet may open, or the login has none.
    """
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError, ImportError) as problem:
            raise Refused("this login has no name: say who decides with --as NAME") from problem
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable() or name[0] in "=+-@":
        raise Refused(f"{name[:LONGEST_NAME]!r} cannot be a name: 1 to {LONGEST_NAME} letters, first no = + - @")
    return name.strip()


def _writing(dataset: str) -> AbstractContextManager[None]:
    return exclusive(reviews_file(dataset).with_suffix(".lock"), timeout=60)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _append(path: Path, line: Decision) -> None:
    """One write at the end of the file; what a killed writer left there stays a line of its own."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(line.cells)
    if _parsed(text.getvalue().rstrip("\n")) != line:
        raise ValueError(f"{line} is no decision")
    if not path.exists():
        write_bytes(path, _HEADER)
    with explain(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            rest = memoryview(b"\n" * torn + text.getvalue().encode())
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)


def _parsed(line: str) -> Decision | None:
    """None where the line is not whole: the last cell has a length that is known."""
    try:
        rows = list(csv.reader([line], strict=True))
    except csv.Error:
        return None
    if len(rows) != 1 or len(rows[0]) != len(COLUMNS):
        return None
    when, who, image, referent, said, mask = rows[0]
    sound = _WHEN.fullmatch(when) and who and _IMAGE.fullmatch(image) and _KEY.fullmatch(referent)
    chosen = _KEY.fullmatch(mask) if said == "mask" else mask == ""
    if not sound or not chosen or said not in _SAID:
        return None
    return Decision(when=when, who=who, image=image, referent=referent, decision=_SAID[said], mask=mask)
