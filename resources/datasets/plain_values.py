"""Numbers and texts of records that others wrote, and why a value is neither.

A whole number is the same however it is written: 40, 40.0 and "40". What would lose meaning (4.5, "007", true) is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops.refusal import Refused
from resources.datasets.table_rows import LONGEST_LABEL, is_unicode, label, shown

INT64 = range(-(2**63), 2**63)
"""Numbers that a table holds."""
HUGE = 2**64
"""What readers put in place of a number of any more digits, so that none is ever printed or computed with."""
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_EXACT = 2**53
"""Whole numbers below are exact as floating point."""
_KINDS = {list: "a list", tuple: "a list", dict: "a record", bytes: "bytes", bool: "a truth value"}


class RecordProblem(Refused):
    """A record that can not be used; the message is the reason that goes to quarantine."""


@dataclass(frozen=True)
class Several:
    """Different values under one name, where a JSON object has that name more than once."""

    values: tuple[object, ...]


def whole_number(value: object) -> int | None:
    """The whole number of 64 bits that a value plainly is, or None."""
    if type(value) is float:
        value = int(value) if value.is_integer() and abs(value) <= _EXACT else None
    elif isinstance(value, str) and len(value) <= LONGEST_LABEL:
        plain = label(value.strip())
        value = int(plain) if _WHOLE.fullmatch(plain) else None
    return value if type(value) is int and value in INT64 else None


def number_of(record: Mapping[object, object], field: str) -> int:
    """The whole number that a record has under a name.

    Raises:
        RecordProblem: none is there, or none of 64 bits.
    """
    value = _value(record, field)
    number = whole_number(value)
    if number is None:
        raise RecordProblem(f"{field} is {described(value)}, no whole number")
    return number


def text_of(record: Mapping[object, object], field: str, *, longest: int | None = LONGEST_LABEL) -> str:
    """The text that a record has under a name.

    Raises:
        RecordProblem: none is there, or none that a table can hold; with `longest=None` any text will do.
    """
    value = _value(record, field)
    if not isinstance(value, str):
        raise RecordProblem(f"{field} is {described(value)}, no text")
    if longest is not None and not is_unicode(value):
        raise RecordProblem(f"{field} is no valid Unicode text; save the file as UTF-8")
    if longest is not None and len(value) > longest:
        raise RecordProblem(f"{field} has {len(value):,} characters, more than {longest}")
    return value


def require_fields(record: object, fields: Sequence[str]) -> Mapping[object, object]:
    """The record, if it is one and says something under every name.

    Raises:
        RecordProblem: says all that are lacking.
    """
    if not isinstance(record, dict):
        raise RecordProblem(f"it is {described(record)}, no record")
    lacking = [field for field in fields if record.get(field) is None]
    if lacking:
        raise RecordProblem(f"it lacks {' and '.join(lacking)}")
    return record


def described(value: object) -> str:
    """What a value is, in a few words that depend on nothing but the value."""
    if value is None:
        return "nothing"
    if isinstance(value, Several):
        return "given more than once, differently"
    if isinstance(value, str):
        return f"the text '{shown(value)}'"
    if type(value) is int:
        return f"{value}" if value in INT64 else "a number of more than 64 bits"
    if type(value) is float:
        return f"{value}"
    return _KINDS.get(type(value), "something else")


def _value(record: Mapping[object, object], field: str) -> object:
    value = record.get(field)
    if value is None:
        raise RecordProblem(f"it lacks {field}")
    return value
