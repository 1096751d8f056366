"""Rows of CSV as people and spreadsheets write it: any usual separator, empty cells at the end, cells of several lines.

A quote that is never closed swallows lines; each of them becomes a row with a problem.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ops.refusal import Refused
from resources.datasets.table_rows import Columns, WrittenRow, column_name, demand

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
HEADER_LINES = 20
"""A header is looked for in no more lines than these."""
_DECLARED = re.compile(r'"?sep=([^\w\r\n "]|\t)"?[,;\t|]*\s*', re.IGNORECASE)
"""The line that Excel writes and reads before a header."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_FILE_NAME = re.compile(r"\S+\.\w{2,4}")


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first line of a table that is not empty."""

    names: Sequence[str]
    """As `column_name` gives them; empty ones at the end are left out."""
    separator: str
    end: int
    """Lines up to here."""


def header_of(text: str, columns: Columns) -> Header | None:
    """The header of a CSV file under the separator that gives the wanted columns; None where none does."""
    found = _headers(_lines(text, at_most=HEADER_LINES))
    return next((header for header in found if not columns.lacking(header.names)), None)


def csv_rows(text: str, columns: Columns, name: str) -> Iterator[WrittenRow]:
    """Row by row, without the header.

    Args:
        text: the whole file.
        columns: which columns are read; a row ends with them where optional cells are left out.
        name: what messages call the file.

    Raises:
        Refused: the header lacks a wanted column, or has one twice.
    """
    lines = _lines(text)
    header = header_of(text, columns) or max(_headers(lines), key=lambda found: len(found.names), default=None)
    if header is None:
        return
    demand(columns, header.names, name)
    if twice := [column for column in columns.known if header.names.count(column) > 1]:
        raise Refused(f"{name} has the column {' and '.join(twice)} twice; leave one")
    reader = csv.reader(lines[header.end :], delimiter=header.separator)
    while True:
        first = header.end + reader.line_num
        problem, cells = None, None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"the row can not be read ({error})"
        written = lines[first : header.end + reader.line_num]
        if cells is not None and not any(cell.strip() for cell in cells):
            continue
        if cells is not None and len(written) > 1 and not _is_closed(written, header):
            problem = "a cell spans several lines; check the quotes"
        found = problem or _fitted(cells or [], written, header, columns)
        if isinstance(found, dict):
            yield WrittenRow(number=first + 1, place=f"line {first + 1}", cells=found)
            continue
        for number in (first + index for index, line in enumerate(written, start=1) if line.strip()):
            yield WrittenRow(number=number, place=f"line {number}", cells={}, problem=found)


def _lines(text: str, *, at_most: int | None = None) -> list[str]:
    """Lines with their ends, whichever system wrote them."""
    return [found[0] for found in islice(_LINE.finditer(text), at_most)]


def _headers(lines: Sequence[str]) -> Iterator[Header]:
    """The header under each separator; what spreadsheets write around it is passed over."""
    start = _first_written(lines, 0)
    separators = "".join(SEPARATORS)
    if start < len(lines) and (declared := _DECLARED.fullmatch(lines[start])):
        start, separators = _first_written(lines, start + 1), declared[1]
    for separator in separators:
        reader = csv.reader(lines[start : start + HEADER_LINES], delimiter=separator)
        try:
            names = [column_name(cell) for cell in next(reader)]
        except (StopIteration, csv.Error):
            continue
        while names and not names[-1]:
            names.pop()
        yield Header(names=names, separator=separator, end=start + reader.line_num)


def _first_written(lines: Sequence[str], start: int) -> int:
    blank = "".join(SEPARATORS) + " \r\n"
    return next((index for index in range(start, len(lines)) if lines[index].strip(blank)), len(lines))


def _is_closed(written: Sequence[str], header: Header) -> bool:
    """Whether several lines are one row by the letter of CSV, and none of them looks like a row of its own."""
    try:
        rows = list(csv.reader(written, delimiter=header.separator, strict=True))
    except csv.Error:
        return False
    return len(rows) == 1 and not any(_looks_like_a_row(line, header) for line in written[1:])


def _looks_like_a_row(line: str, header: Header) -> bool:
    cells = line.split(header.separator)
    return len(cells) == len(header.names) > 1 and bool(_FILE_NAME.fullmatch(cells[0].strip()))


def _fitted(cells: list[str], written: Sequence[str], header: Header, columns: Columns) -> dict[str, str] | str:
    """The cells by column, or why they do not fit."""
    cells = _with_spaced_quotes(cells, written, header)
    while len(cells) > len(header.names) and not cells[-1].strip():
        cells = cells[:-1]
    absent = header.names[len(cells) :]
    present = dict(zip(header.names, cells, strict=False))
    if len(cells) > len(header.names) or columns.lacking(present) or (any(absent) and _may_be_shifted(cells, header)):
        advice = f"quote {SEPARATORS.get(header.separator, 'separators inside of cells')}"
        return f"the row has {len(cells)} cells, the header {len(header.names)}; {advice}"
    return present


def _with_spaced_quotes(cells: list[str], written: Sequence[str], header: Header) -> list[str]:
    """Read `a.jpg, "left, in red"` as it is meant: the reader knows a quote at the very beginning of a cell only."""
    if len(written) != 1 or not any(cell[:1].isspace() and cell.lstrip()[:1] == '"' for cell in cells):
        return cells
    try:
        return next(csv.reader(written, delimiter=header.separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return cells


def _may_be_shifted(cells: Sequence[str], header: Header) -> bool:
    """Whether a short row may rather have a separator inside of a text: a later cell of it is like a piece of one."""
    spaced = len(cells) > 1 and cells[1][:1].isspace()
    later = [cell for cell in cells[2:] if cell.strip()]
    return any(len(cell.split()) > 1 or (cell[0].isspace() and not spaced) for cell in later)
