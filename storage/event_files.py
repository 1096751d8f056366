"""Curves as TensorBoard reads them: event files, written without TensorBoard.

An event file is a sequence of records, each of length, checksum, content, checksum; the content is a protocol buffer
`Event`. Format: tensorflow/core/lib/io/record_writer.h and tensorflow/core/util/event.proto.
"""

import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

VERSION = b"brain.Event:2"
POLYNOMIAL = 0x82F63B78
"""Of CRC-32C (Castagnoli), bits reversed."""


class EventFile:
    """A new event file in a folder, to which scalars are appended."""

    def __init__(self, folder: Path) -> None:
        """Earlier event files of the folder are removed: a curve is written from its first step.

        Raises:
            OSError: the disk refuses.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.wordmask"
        self._append([_double(1, time.time()) + _bytes(3, VERSION)])

    def add(self, curves: Mapping[int, Mapping[str, float]]) -> None:
        """Append the values of some steps: step -> tag -> value.

        Raises:
            OSError: the disk refuses.
        """
        now = _double(1, time.time())
        self._append([now + _integer(2, step) + _bytes(5, _summary(values)) for step, values in curves.items()])

    def _append(self, events: list[bytes]) -> None:
        with self._path.open("ab") as file:
            file.write(b"".join(_record(event) for event in events))


def _summary(values: Mapping[str, float]) -> bytes:
    """The message `Summary`: a value for each tag."""
    pairs = (_bytes(1, tag.encode()) + _tag(2, 5) + struct.pack("<f", value) for tag, value in values.items())
    return b"".join(_bytes(1, pair) for pair in pairs)


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + checksum(length) + content + checksum(content)


def checksum(content: bytes) -> bytes:
    """CRC-32C, masked: rotated right by 15 bits and moved, since records may hold checksums themselves."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _table()[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _table() -> tuple[int, ...]:
    """CRC-32C of every byte."""
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (POLYNOMIAL if byte & 1 else 0)
        found.append(byte)
    return tuple(found)


def _tag(field: int, kind: int) -> bytes:
    return bytes([field << 3 | kind])


def _double(field: int, value: float) -> bytes:
    return _tag(field, 1) + struct.pack("<d", value)


def _integer(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
