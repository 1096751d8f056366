"""Stacks of masks of one size in one file, eight pixels a byte: written one after another, read by memory map.

`PackedMasks` are pickled by their path: a process that gets them maps the file anew.

Shapes: K masks of a stack, H x W pixels; every stack has a K of its own.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from storage.files import StoreError, growing_file

MaskStack = npt.NDArray[np.bool_]
"""(K, H, W)."""


class PackedMasks(Sequence[MaskStack]):
    """The stacks of a file, by number; a stack is unpacked when it is asked for."""

    def __init__(self, path: Path, counts: Sequence[int], *, height: int, width: int) -> None:
        """`counts` are the masks of each stack; `StoreError` when the file is missing or too short."""
        self._path, self._height, self._width = path, height, width
        self._ends = np.cumsum([0, *counts])
        shape = (int(self._ends[-1]), packed_size(height, width))
        try:
            self._packed = np.memmap(path, np.uint8, "r", shape=shape) if shape[0] else np.empty(shape, np.uint8)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} is missing or damaged ({error}); delete {path.parent} and run again.") from error

    def __len__(self) -> int:
        """Number of stacks."""
        return len(self._ends) - 1

    def __reduce__(self) -> tuple[Any, ...]:
        """By path: the masks may exceed the memory."""
        counts = np.diff(self._ends).tolist()
        return partial(PackedMasks, height=self._height, width=self._width), (self._path, counts)

    @overload
    def __getitem__(self, number: int) -> MaskStack: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[MaskStack]: ...
    def __getitem__(self, number: int | slice) -> MaskStack | Sequence[MaskStack]:
        """Masks (K, H, W) of a stack, or a list of stacks."""
        if isinstance(number, slice):
            return [self[index] for index in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        rows = self._packed[self._ends[number] : self._ends[number + 1]]
        pixels = np.unpackbits(rows, axis=1, count=self._height * self._width)
        return pixels.reshape(len(rows), self._height, self._width).view(np.bool_)


def write_packed_masks(path: Path, stacks: Iterable[MaskStack]) -> list[int]:
    """Write stacks (K, H, W), all of one height and width, one after another; the number of masks of each.

    Raises:
        StoreError: the disk refuses.
    """
    counts = []
    with growing_file(path) as append:
        for stack_KHW in stacks:
            count, height, width = stack_KHW.shape
            append(np.packbits(stack_KHW.reshape(count, height * width), axis=1).tobytes())
            counts.append(count)
    return counts


def packed_size(height: int, width: int) -> int:
    """Bytes of a packed mask."""
    return -(-height * width // 8)
