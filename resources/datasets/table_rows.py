"""Rows of tables that others wrote, and the one rule for their cells, whatever the file is.

An optional cell may hold no value in any of the spellings that programs write for it. A label (an id, a split) is text
or a number; a number is the same however it is written, so that 7, 7.0 and 7e0 are one label, and 007 is another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from unicodedata import category, normalize

from ops.refusal import Refused

NO_VALUE = frozenset({"", "nan", "-nan", "none", "null", "na", "n/a", "<na>", "nat", "#n/a"})
"""What pandas, R and spreadsheets write where there is no value; upper or lower case."""
TRUTH_VALUES = frozenset({"true", "false"})
LONGEST_LABEL = 500
"""Characters of a text that names something: an id, a split, a file, a category."""
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?")
_ERROR = re.compile(r"#(REF!|NAME\?|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|CALC!|N/A)|Err:[0-9]{3}", re.IGNORECASE)
"""What spreadsheets save in place of a cell that they could not compute, such as a text that began with - or =."""
_ROUNDED = re.compile(r"[+-]?[0-9]\.[0-9]{1,5}E\+(1[1-9]|[2-9][0-9])")
"""How spreadsheets save whole numbers of twelve digits and more: six digits are left."""


class Number(str):
    """A number of a JSON file as it is written there. In a CSV file every cell is text."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of a table are read. Names are compared in lower case; other columns are passed over."""

    wanted: tuple[str, ...]
    optional: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    """Those that name something: numbers are taken too."""

    @property
    def known(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.wanted, *self.optional)

    def lacking(self, names: Collection[str]) -> list[str]:
        """The wanted ones that are not among the names."""
        return [name for name in self.wanted if name not in names]


@dataclass(frozen=True, kw_only=True)
class WrittenRow:
    """A row as it is written: cells by column, None where JSON has null or NaN."""

    number: int
    """Unique in its table: the line on which the row begins, or its place in a JSON list, from 1."""
    place: str
    """The number in words, e.g. `line 3`."""
    cells: Mapping[str, object]
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row as it is read: a text for each known column, empty where there is no value."""

    number: int
    place: str
    cells: Mapping[str, str]
    problem: str | None
    """Why the row can not be used, if it can not."""


def read_row(written: WrittenRow, columns: Columns) -> Row:
    """Apply the rule for cells."""
    cells = {name: _text(name, written.cells.get(name), columns) for name in columns.known}
    problems = (_problem(name, written.cells.get(name), columns) for name in columns.known)
    problem = written.problem or next((found for found in problems if found), None)
    return Row(number=written.number, place=written.place, cells=cells, problem=problem)


def demand(columns: Columns, found: Collection[str], name: str) -> None:
    """Refuse a table without the wanted columns.

    Args:
        columns: which are wanted.
        found: those that the table has.
        name: what messages call the file.

    Raises:
        Refused: one is lacking; says which there are.
    """
    if lacking := columns.lacking(found):
        has = ", ".join(shown(column) for column in islice(found, 20))
        optional = f" (optional: {', '.join(columns.optional)})" if columns.optional else ""
        raise Refused(
            f"{name} has no column {' and '.join(lacking)}; it has {has or 'none'}, "
            f"wanted are {', '.join(columns.wanted)}{optional}"
        )


def column_name(written: str) -> str:
    """The name of a column without what nobody sees in it: width of letters, case, white space, marks of encodings."""
    if not written.isascii():
        written = "".join(sign for sign in normalize("NFKC", written) if category(sign) != "Cf")
    return written.strip().lower()


def label(text: str) -> str:
    """One spelling for a whole number; any other text as it is."""
    if not _NUMBER.fullmatch(text):
        return text
    number = Decimal(text)
    whole = number.adjusted() < 30 and number == number.to_integral_value()
    return str(int(number)) if whole else text


def shown(text: str, *, at_most: int = 60) -> str:
    """A stranger's text inside a message: short, one line, and in no case an escape sequence."""
    cut = text if len(text) <= at_most else f"{text[:at_most]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in cut)


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded, so that no half of a surrogate pair is in it."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _text(name: str, cell: object, columns: Columns) -> str:
    text = cell.strip() if isinstance(cell, str) else ""
    if name in columns.optional and text.lower() in NO_VALUE:
        return ""
    return label(text) if name in columns.labels else text


def _problem(name: str, cell: object, columns: Columns) -> str | None:
    if cell is None:
        return None
    if name not in columns.labels:
        if not isinstance(cell, str) or isinstance(cell, Number):
            return f"{name} is no text"
    elif isinstance(cell, bool) or (isinstance(cell, str) and cell.strip().lower() in TRUTH_VALUES):
        return f"{name} is {str(cell).strip()}, which names nothing; give text or a number"
    elif not isinstance(cell, str):
        return f"{name} is neither text nor a number"
    elif problem := _label_problem(name, cell.strip()):
        return problem
    if _ERROR.fullmatch(cell.strip()) and not (name in columns.optional and cell.strip().lower() in NO_VALUE):
        return f"{name} is {cell.strip()}, an error of a spreadsheet; format the column as text and fill it in again"
    return None if is_unicode(cell) else "the row is no valid Unicode text; save the file as UTF-8"


def _label_problem(name: str, text: str) -> str | None:
    if len(text) > LONGEST_LABEL:
        return f"{name} has {len(text):,} characters, more than {LONGEST_LABEL}"
    if _ROUNDED.fullmatch(text):
        return (
            f"{name} is {text}, a number that a spreadsheet has rounded; format the column as text and fill it in again"
        )
    return None
