"""Pairs of nearby pixels, the straight paths between them, and their affinities (TRIS spec 4.3).

A pair is a source pixel and an offset (dy, dx) with dy >= 0, shorter than the radius. "Inner" sources are those whose
partners all lie on the map: rows 0..H-1-f, columns f..W-1-f with f the largest offset.
Shapes: B maps, H x W pixels, O offsets, L points of a path, S inner sources in row-major order.
"""

from functools import lru_cache

import torch
from torch import Tensor

Point = tuple[int, int]
"""(dy, dx), pixels down and to the right."""
Path = tuple[Point, ...]
"""The points between two pixels, both included, as offsets from the source; the partner comes first."""


Window = tuple[slice, slice]
"""Rows and columns of a rectangle of pixels."""


@lru_cache(maxsize=8)
def paths(radius: int) -> tuple[Path, ...]:
    """Paths of all offsets shorter than `radius` pixels, shorter paths first; 34 for radius 5, 152 for radius 10."""
    near = range(1 - radius, radius)
    offsets = [(0, dx) for dx in near if dx > 0]
    offsets += [(dy, dx) for dy in near if dy > 0 for dx in near if dy * dy + dx * dx < radius * radius]
    return tuple(sorted((path_to(offset) for offset in offsets), key=len))


def path_to(offset: Point) -> Path:
    """Path to a partner: all points of the offset's bounding rectangle less than a pixel from the straight line."""
    dy, dx = offset
    rectangle = [(y, x) for y in range(dy + 1) for x in range(min(dx, 0), max(dx, 0) + 1)]
    crossed = [(y, x) for y, x in rectangle if (dy * x - dx * y) ** 2 < dy * dy + dx * dx]
    return tuple(sorted(crossed, key=lambda point: -abs(point[0]) - abs(point[1])))


def offsets_O2(radius: int) -> Tensor:
    """Offsets (dy, dx) of `paths(radius)`, (O, 2) integers."""
    return torch.tensor([path[0] for path in paths(radius)])


def inner(height: int, width: int, radius: int) -> Window:
    """The inner sources of a map.

    Raises:
        ValueError: the map is too small to have any.
    """
    reach = radius - 1
    if height <= reach or width <= 2 * reach:
        raise ValueError(f"a {height} x {width} map has no pairs within {radius} pixels: use a larger one")
    return slice(0, height - reach), slice(reach, width - reach)


def sources(maps_BHW: Tensor, radius: int) -> Tensor:
    """Values at the inner sources, (..., S)."""
    return maps_BHW[..., *_inner(maps_BHW, radius)].flatten(-2)


def partners(maps_BHW: Tensor, radius: int) -> Tensor:
    """Values at the partners of the inner sources, (..., O, S)."""
    window = _inner(maps_BHW, radius)
    return torch.stack([maps_BHW[..., *shifted(window, path[0])].flatten(-2) for path in paths(radius)], dim=-2)


def affinities(edges_BHW: Tensor, radius: int) -> Tensor:
    """Affinities of all pairs with an inner source, (..., O, S): 1 - the largest edge probability on the path."""
    window = _inner(edges_BHW, radius)
    strongest = [strongest_edge(edges_BHW, path, window).flatten(-2) for path in paths(radius)]
    return 1 - torch.stack(strongest, dim=-2)


def strongest_edge(edges_BHW: Tensor, path: Path, window: Window) -> Tensor:
    """Largest edge on one path from each source of the rectangle, (..., rows, columns)."""
    return torch.stack([edges_BHW[..., *shifted(window, point)] for point in path]).max(0).values


def sources_with_partner(height: int, width: int, offset: Point) -> Window:
    """Rectangle of the sources whose partner at one offset lies on the map; empty if the map is smaller."""
    dy, dx = offset
    first = max(0, -dx)
    return slice(0, max(height - dy, 0)), slice(first, max(width - max(0, dx), first))


def shifted(window: Window, by: Point) -> Window:
    """The rectangle shifted by (dy, dx) down and to the right."""
    rows, columns = window
    return slice(rows.start + by[0], rows.stop + by[0]), slice(columns.start + by[1], columns.stop + by[1])


def _inner(maps_BHW: Tensor, radius: int) -> Window:
    return inner(maps_BHW.shape[-2], maps_BHW.shape[-1], radius)
