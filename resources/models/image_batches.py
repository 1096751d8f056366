"""Which images can go through a network together."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray


def by_shape(images: Sequence[NDArray[Any]]) -> list[list[int]]:
    """Rows of images of one shape, shapes and rows in the order of their first appearance."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image.shape, []).append(row)
    return list(rows.values())
