"""Image files byte by byte, where no writer at hand makes what cameras and programs make."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row and steps of each pass of an interlaced PNG."""


def saved(image: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    """As Pillow writes it."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def png(
    samples_HWC: NDArray[Any],
    *,
    colour: int,
    bits: int = 8,
    chunks: Sequence[tuple[bytes, bytes]] = (),
    lace: bool = False,
) -> bytes:
    """A PNG of samples as they are: `colour` is PNG's colour type, `chunks` stand before the pixels."""
    height, width = samples_HWC.shape[:2]
    steps = ADAM7 if lace else ((0, 0, 1, 1),)
    passes = [samples_HWC[y::down, x::right] for x, y, right, down in steps]
    rows = b"".join(b"\0" + _packed(row, bits) for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(lace))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _packed(row: NDArray[Any], bits: int) -> bytes:
    """Samples of a row, high bits first."""
    wide = ((row.reshape(-1, 1).astype(np.int64) >> np.arange(bits)[::-1]) & 1).astype(np.uint8)
    return np.packbits(wide.ravel()).tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(*pages: tuple[NDArray[Any], Mapping[int, int | Sequence[int]]]) -> bytes:
    """A little-endian TIFF of uncompressed pages: packed samples (rows of bytes), and tag -> numbers.

    Tags have the type LONG but for those that Pillow wants as SHORT; width, height and the strip are filled in from
    (height, ...) samples and tag 256.
    """
    out = bytearray(b"II*\0" + struct.pack("<I", 0))
    link = 4
    for samples, given in pages:
        strip = len(out)
        out += samples.tobytes()
        tags = {257: len(samples), 273: strip, 278: len(samples), 279: samples.nbytes, 277: 1, 259: 1} | dict(given)
        entries = []
        for tag, value in sorted(tags.items()):
            values = [value] if isinstance(value, int) else list(value)
            code, letter = (4, "I") if tag in (254, 256, 257, 273, 278, 279) else (3, "H")
            data = struct.pack(f"<{len(values)}{letter}", *values)
            if len(data) > 4:
                place = len(out)
                out += data
                data = struct.pack("<I", place)
            entries.append(struct.pack("<HHI", tag, code, len(values)) + data.ljust(4, b"\0"))
        out += b"\0" * (len(out) % 2)
        struct.pack_into("<I", out, link, len(out))
        out += struct.pack("<H", len(entries)) + b"".join(entries)
        link = len(out)
        out += struct.pack("<I", 0)
    return bytes(out)


def icc(space: bytes, tags: Mapping[bytes, bytes], *, between: bytes = b"XYZ ") -> bytes:
    """An ICC profile (version 2) of an input device."""
    described = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + b"\0" * 78
    every = {b"desc": described, b"cprt": b"text\0\0\0\0x\0", b"wtpt": xyz(0.9642, 1.0, 0.8249)} | dict(tags)
    place, table, body = 128 + 4 + 12 * len(every), b"", b""
    for name, data in every.items():
        padded = data + b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", place + len(body), len(data))
        body += padded
    size = place + len(body)
    header = struct.pack(
        ">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr" if space == b"CMYK" else b"scnr", space, between
    )
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + xyz(0.9642, 1.0, 0.8249)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(every)) + table + body


def xyz(*values: float) -> bytes:
    """The ICC type of a colour."""
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))


def gamma(value: float) -> bytes:
    """The ICC type of a curve that is a power."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * value))


def cmyk_table(lab_of_inks: Mapping[tuple[int, ...], tuple[int, int, int]]) -> bytes:
    """The ICC type lut8 from CMYK to Lab by its 16 corners; what is not named is white."""
    corners = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    lab = [lab_of_inks.get(corner, (100, 0, 0)) for corner in corners]
    cells = bytes(number for light, a, b in lab for number in (round(2.55 * light), a + 128, b + 128))
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    return b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + bytes(range(256)) * 4 + cells + bytes(range(256)) * 3
