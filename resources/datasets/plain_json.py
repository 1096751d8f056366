"""JSON that others wrote, in bounded memory: numbers of any length, names given twice, bytes that are no text."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.plain_values import HUGE, Several
from resources.mistaken import WEB_PAGE, mistaken_for
from resources.opening import read_file

MOST_BYTES = 1 << 30
"""Of a JSON file; COCO's own have at most 450 MB."""
MOST_UNPACKED = 128 << 20
"""Of a packed JSON file; ReferIt's largest has 7 MB."""
_LONGEST_NUMBER = 40
_BROKEN = (ValueError, RecursionError, MemoryError)
_PACKED = {b"\x1f\x8b": "a gzip archive; unpack it", b"PK\x03\x04": "a zip archive; unpack it"}


def read_json_object(path: Path) -> Mapping[str, object]:
    """The object that a JSON file holds, packed with gzip where its name says so.

    A name that the object or one inside it gives several times with different values has `Several`. Numbers beyond 64
    bits become `HUGE`. Bytes that are no UTF-8 become lone surrogates, so that only their own record is lost.

    Raises:
        Refused: no regular file, too long, no JSON or no object.
    """
    data = _unpacked(path) if path.suffix == ".gz" else read_file(path, at_most=MOST_BYTES)
    refuse_mistaken(data, path.name)
    try:
        content = _decode(_text(data))
    except _BROKEN as problem:
        raise Refused(f"{path.name} is no readable JSON ({_say(problem)}); fetch it again") from problem
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "a single value"
        raise Refused(f"{path.name} holds {kind} and no JSON object; check that it is the right file")
    return content


def refuse_mistaken(data: bytes, name: str) -> None:
    """Refuse what is plainly another kind of file.

    Raises:
        Refused: says which.
    """
    page = WEB_PAGE if data.startswith(b"<") else None
    packed = next((kind for start, kind in _PACKED.items() if data.startswith(start)), None)
    if kind := mistaken_for(data) or page or packed:
        raise Refused(f"{name} is {kind}")


def _unpacked(path: Path) -> bytes:
    packed = io.BytesIO(read_file(path, at_most=MOST_BYTES))
    try:
        with gzip.GzipFile(fileobj=packed) as file:
            data = file.read(MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as problem:
        raise Refused(f"{path.name} is no readable JSON ({problem}); fetch it again") from problem
    if len(data) > MOST_UNPACKED:
        raise Refused(f"{path.name} unpacks to more than {MOST_UNPACKED:,} bytes; check that it is the right file")
    return data


def _text(data: bytes) -> str:
    encoding = json.detect_encoding(data)
    return data.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "surrogatepass")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        values: dict[str, list[object]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        fields |= {name: Several(tuple(given)) for name, given in values.items() if _differ(given)}
    return fields


def _differ(values: list[object]) -> bool:
    return any(value != values[0] for value in values[1:])


def _whole(digits: str) -> int:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else HUGE


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole).decode


def _say(problem: BaseException) -> str:
    return "nested too deeply" if isinstance(problem, RecursionError) else str(problem)
