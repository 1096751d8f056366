"""Arrays in `.npy` files, read by memory map and pickled by their path: a process that gets one maps it anew.

They are written row by row as any other file: a disk that fills up under a memory map kills the process that writes
there, without a word.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.files import StoreError, growing_file

AppendRow = Callable[[npt.NDArray[Any]], None]


@contextmanager
def new_rows(path: Path, *, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Iterator[AppendRow]:
    """Make a `.npy` file of a known shape; yields what appends a row, to be called for each of them.

    Room for all rows is taken first, so that a disk that is too small refuses before anything is computed.

    Raises:
        StoreError: the disk refuses; no file is left.
    """
    kind, head = np.dtype(dtype), BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, fields)
    with growing_file(path, size=head.tell() + prod(shape) * kind.itemsize) as append:
        append(head.getvalue())
        yield lambda row: append(np.ascontiguousarray(row, dtype=kind).data)


class MappedArray:
    """The rows of an array in a `.npy` file."""

    def __init__(self, path: Path) -> None:
        """Map the file, which must not change while it is used; `StoreError` when it is missing or damaged."""
        self._path = path
        try:
            self._rows: npt.NDArray[Any] = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"{path} is missing or damaged ({error}); delete {path.parent} and run again.") from error

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self._rows.shape

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def __getitem__(self, rows: Sequence[int]) -> npt.NDArray[Any]:
        """A copy of some rows, in their order."""
        return self._rows[list(rows)]

    def __reduce__(self) -> tuple[type["MappedArray"], tuple[Path]]:
        """By path: the content may exceed the memory."""
        return MappedArray, (self._path,)
