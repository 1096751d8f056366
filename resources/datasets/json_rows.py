"""Rows of JSON: an object on each line, or a list of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ops.refusal import Refused
from resources.datasets.table_rows import Columns, Number, WrittenRow, column_name

_LINE_BREAK = re.compile(r"\r\n?|\n")
_MARKS = "\ufeff\x1e"
"""What may stand before a line: files that were laid end to end have marks of their encoding, RFC 7464 a separator."""
_BROKEN = (ValueError, RecursionError)


@dataclass(frozen=True)
class _Object:
    cells: dict[str, object]
    """By names in lower case."""
    twice: frozenset[str]
    """Names with more than one value."""


def json_rows(text: str, columns: Columns, name: str) -> Iterator[WrittenRow]:
    """Row by row.

    Args:
        text: the whole file.
        columns: which columns are read.
        name: what messages call the file.

    Raises:
        Refused: it is a list that no row can be read from, or an object of columns.
    """
    try:
        whole = _decode(text)
    except _BROKEN as problem:
        if not text.lstrip().startswith("["):
            return _of_lines(_numbered(text), columns)
        return _of_broken_list(text, columns, name, problem)
    if isinstance(whole, list):
        return (_row(index, f"record {index}", record, columns) for index, record in enumerate(whole, start=1))
    if isinstance(whole, _Object):
        _require_a_row(whole, columns, name)
        number = next(_numbered(text))[0]
        return iter([_row(number, f"line {number}", whole, columns)])
    return _of_lines(_numbered(text), columns)


def _of_lines(lines: Iterable[tuple[int, str]], columns: Columns) -> Iterator[WrittenRow]:
    for number, line in lines:
        place = f"line {number}"
        try:
            record = _decode(line.lstrip(_MARKS).rstrip().removesuffix(","))
        except _BROKEN as problem:
            yield WrittenRow(number=number, place=place, cells={}, problem=f"the line is no JSON ({_say(problem)})")
        else:
            yield _row(number, place, record, columns)


def _of_broken_list(text: str, columns: Columns, name: str, problem: Exception) -> Iterator[WrittenRow]:
    """Where a list has a row on each line, a fault in one of them costs that row alone."""
    bare = ((number, _without_brackets(line)) for number, line in _numbered(text))
    rows = list(_of_lines(((number, line) for number, line in bare if line), columns))
    if all(row.problem for row in rows):
        raise Refused(f"{name} is no readable JSON ({_say(problem)}); mend it, or write one JSON object a line")
    return iter(rows)


def _without_brackets(line: str) -> str:
    """A line of a list without what belongs to the list; empty where nothing else is there."""
    bare = line.strip().removesuffix(",")
    try:
        _decode(bare)
    except _BROKEN:
        return bare.removeprefix("[").removesuffix("]").strip()
    return bare


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(_LINE_BREAK.split(text), start=1) if line.strip())


def _row(number: int, place: str, record: object, columns: Columns) -> WrittenRow:
    what = place.split()[0]
    if not isinstance(record, _Object):
        form = ", ".join(f'"{column}": ...' for column in columns.wanted)
        wanted = f"the {what} is no JSON object ({{{form}}})"
        return WrittenRow(number=number, place=place, cells={}, problem=wanted)
    twice = [column for column in columns.known if column in record.twice]
    problem = f"the {what} has {' and '.join(twice)} twice, with different values; leave one" if twice else None
    return WrittenRow(number=number, place=place, cells=record.cells, problem=problem)


def _require_a_row(whole: _Object, columns: Columns, name: str) -> None:
    cells = [whole.cells.get(column) for column in columns.wanted]
    if any(isinstance(cell, (list, _Object)) for cell in cells):
        raise Refused(f"{name} is one object of whole columns; write one JSON object a line, or a list of objects")


def _object(pairs: list[tuple[str, object]]) -> _Object:
    cells: dict[str, object] = {}
    twice = set()
    for written, value in pairs:
        name = column_name(written)
        if name in cells and cells[name] != value:
            twice.add(name)
        cells[name] = value
    return _Object(cells, frozenset(twice))


def _constant(name: str) -> Number | None:
    return None if name == "NaN" else Number(name)


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=Number, parse_float=Number, parse_constant=_constant
).decode


def _say(problem: Exception) -> str:
    return "nested too deeply" if isinstance(problem, RecursionError) else str(problem)
