"""One matrix of numbers out of a MATLAB file (versions 4 and 5), in no more memory than the matrix needs.

scipy's reader reserves what a damaged file claims and descends into whatever it nests. Cells, structures, sparse and
complex matrices are not read, nor files of version 7.3, which are HDF5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops.refusal import Refused
from resources.datasets.table_rows import shown

Shape = tuple[int, int]
"""(height, width)."""
Numbers = NDArray[Any]

_HEADER = 128
_COMPRESSED, _MATRIX = 15, 14
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""MATLAB's number of a type -> numpy's name."""
_OLD_NUMBERS = ("f8", "f4", "i4", "i2", "u2", "u1")
_NUMERIC = range(6, 16)
"""Classes of matrices of real numbers."""
_COMPLEX = 0x800
_HEAD = 1024
"""Bytes, unpacked, in which flags, size and name of a matrix lie."""
_BROKEN = (struct.error, zlib.error, ValueError, IndexError, OverflowError)


class MatrixProblem(Refused):
    """A file without a usable matrix; the message is the reason, without the name of the file."""


@dataclass(frozen=True)
class _Element:
    kind: int
    data: bytes
    end: int
    """Where the next element begins."""


def read_matrix(data: bytes, name: str, *, shape: Shape) -> Numbers:
    """The matrix of that name.

    Args:
        data: the whole file.
        name: of the matrix.
        shape: what it must have; it is known before anything is unpacked.

    Raises:
        MatrixProblem: there is none, it has another shape or no real numbers, or the file is damaged.
    """
    try:
        found = _version_4(data, name, shape) if 0 in data[:4] else _version_5(data, name, shape)
    except MatrixProblem:
        raise
    except _BROKEN as problem:
        raise MatrixProblem(f"can not be read ({shown(str(problem))}); copy it again") from problem
    if found is None:
        raise MatrixProblem(f"has no matrix {name}")
    return found


def _version_4(data: bytes, name: str, shape: Shape) -> Numbers | None:
    at = 0
    while at < len(data):
        order = "<" if struct.unpack_from("<i", data, at)[0] in range(5000) else ">"
        kind, rows, columns, imaginary, letters = struct.unpack_from(f"{order}5i", data, at)
        precision, form = kind // 10 % 10, kind % 10
        if min(rows, columns, letters) < 0 or precision >= len(_OLD_NUMBERS):
            raise MatrixProblem("is no MATLAB file")
        dtype = np.dtype(order + _OLD_NUMBERS[precision])
        start = at + 20 + letters
        if data[at + 20 : start].rstrip(b"\0") == name.encode():
            _require(numeric=form == 0 and not imaginary, found=(rows, columns), shape=shape)
            return _matrix(data[start : start + rows * columns * dtype.itemsize], dtype, shape)
        at = start + rows * columns * dtype.itemsize * (2 if imaginary else 1)
    return None


def _version_5(data: bytes, name: str, shape: Shape) -> Numbers | None:
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER])
    if order is None:
        raise MatrixProblem(f"is no MATLAB file ({len(data):,} bytes)")
    if struct.unpack_from(f"{order}H", data, 124)[0] >> 8 != 1:
        raise MatrixProblem("is a MATLAB file of version 7.3; save it with -v7")
    for kind, content in _variables(data, order):
        if kind == _COMPRESSED:
            head = zlib.decompressobj().decompress(content, _HEAD)
            if head and (start := _begins(head[8:], order, name, shape)) is not None:
                return _numbers(_unpacked(content, shape), 8 + start, order, shape)
        elif kind == _MATRIX and (start := _begins(content, order, name, shape)) is not None:
            return _numbers(content, start, order, shape)
    return None


def _variables(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = _HEADER
    while at < len(data):
        kind, length = struct.unpack_from(f"{order}2I", data, at)
        if at + 8 + length > len(data):
            raise MatrixProblem("is cut off; copy it again")
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length


def _begins(matrix: bytes, order: str, name: str, shape: Shape) -> int | None:
    """Where the numbers of a matrix begin; None if it has another name."""
    flags = _element(matrix, 0, order)
    size = _element(matrix, flags.end, order)
    called = _element(matrix, size.end, order)
    if called.data != name.encode():
        return None
    (what,) = struct.unpack_from(f"{order}I", flags.data)
    numeric = what & 0xFF in _NUMERIC and not what & _COMPLEX
    _require(numeric=numeric, found=tuple(np.frombuffer(size.data, f"{order}i4").tolist()), shape=shape)
    return called.end


def _element(data: bytes, at: int, order: str) -> _Element:
    (kind,) = struct.unpack_from(f"{order}I", data, at)
    if kind >> 16:  # a short one has its data in its own head
        kind, length, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
    else:
        (length,) = struct.unpack_from(f"{order}I", data, at + 4)
        start = at + 8
        end = start + (length + 7) // 8 * 8
    if start + length > len(data):
        raise ValueError("an element is cut off")
    return _Element(kind, data[start : start + length], end)


def _unpacked(content: bytes, shape: Shape) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(content, 2 * _HEAD + 8 * shape[0] * shape[1])
    if not unpacker.eof:
        raise MatrixProblem("is cut off, or larger than its matrix; copy it again")
    return unpacked


def _numbers(matrix: bytes, start: int, order: str, shape: Shape) -> Numbers:
    element = _element(matrix, start, order)
    if element.kind not in _NUMBERS:
        raise MatrixProblem("has a matrix of no numbers")
    return _matrix(element.data, np.dtype(order + _NUMBERS[element.kind]), shape)


def _matrix(data: bytes, dtype: np.dtype[Any], shape: Shape) -> Numbers:
    return np.frombuffer(data, dtype).reshape(shape, order="F")


def _require(*, numeric: bool, found: tuple[int, ...], shape: Shape) -> None:
    if not numeric:
        raise MatrixProblem("has a matrix of no real numbers")
    if found != shape:
        raise MatrixProblem(f"is {found} (height, width), its image {shape}")
