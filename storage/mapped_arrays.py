"""Arrays in `.npy` files, read by memory map and pickled by their path: a process that gets one maps it anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class MappedArray:
    """The rows of an array in a `.npy` file."""

    def __init__(self, path: Path) -> None:
        """Map the file, which must not change while it is used."""
        self._path = path
        self._rows: npt.NDArray[Any] = np.load(path, mmap_mode="r")

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
