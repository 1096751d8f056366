"""A table that someone else wrote, read by what it holds and not by what its name ends with.

CSV with any usual separator, a JSON object a line, or a JSON list; UTF-8, or UTF-16 and UTF-32 with their marks. Bytes
in any other encoding can not be told from wrong ones: their rows have a problem, all others are read.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.csv_rows import csv_rows, header_of
from resources.datasets.json_rows import json_rows
from resources.datasets.plain_json import refuse_mistaken
from resources.datasets.table_rows import Columns, Row, WrittenRow, demand, read_row
from resources.opening import read_file

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
OTHER_KINDS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a Parquet file",
}
"""First bytes -> what is no table of text."""


def read_table(path: Path, columns: Columns) -> Iterator[Row]:
    """All rows in file order, one after the other.

    Raises:
        Refused: it is no regular file or no text, or it has no rows or, which is known at the end, not the wanted
            columns.
    """
    data = read_file(path)
    text = _decoded(data, path.name)
    refuse_mistaken(data, path.name)
    del data
    some = sound = False
    names: dict[str, None] = {}
    for written in _rows(text, columns, path):
        row = read_row(written, columns)
        some, sound = True, sound or row.problem is None
        names |= dict.fromkeys(written.cells)
        yield row
    if not some:
        raise Refused(f"{path.name} holds no rows; it needs the columns {', '.join(columns.wanted)}")
    if sound:
        demand(columns, list(names), path.name)


def _rows(text: str, columns: Columns, path: Path) -> Iterator[WrittenRow]:
    is_csv = header_of(text, columns) is not None
    if not is_csv and (path.suffix.lower() in JSON_SUFFIXES or text.lstrip().startswith(("{", "["))):
        return json_rows(text, columns, path.name)
    return csv_rows(text, columns, path.name)


def _decoded(data: bytes, name: str) -> str:
    for start, kind in OTHER_KINDS.items():
        if data.startswith(start):
            raise Refused(f"{name} is {kind}, no table of text; save it as CSV (UTF-8)")
    encoding = next((encoding for mark, encoding in MARKS if data.startswith(mark)), None)
    if encoding is None and b"\0" in data[:4]:
        raise Refused(f"{name} is no UTF-8 text; save it as UTF-8")
    try:
        # bytes that are no text become lone surrogates, so only their own row is lost
        text = data.decode(encoding, "surrogatepass") if encoding else data.decode("utf-8", "surrogateescape")
    except UnicodeDecodeError as problem:
        raise Refused(f"{name} is no whole {encoding} text ({problem.reason}); save it as UTF-8") from problem
    return text.lstrip("\ufeff")
