"""Thick outlines (ellipse, rectangle) on a pixel grid, without OpenCV yet meant to mark the pixels it marks.

Polylines are rasterised in 16-bit fixed point: a segment is a filled quadrilateral with a drawn edge, a joint is a dot.
Shapes: V vertices, E segments (4E quadrilateral edges), P pixels; a point is (x, y).
"""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Pixels = NDArray[np.int64]
Mask = NDArray[np.bool_]

ONE = 1 << 16
HALF_WIDTH = 2
"""Half of the line thickness of 4 pixels used by the visual prompts (S+S+C spec 3.5)."""


def ellipse_ring(centre: tuple[float, float], axes: tuple[float, float], *, height: int, width: int) -> Mask:
    """Ring of 4 pixels about the ellipse with these semi-axes, (height, width) bool; parts outside are cut off."""
    longest = round(max(axes))
    degrees = 90 if longest < 3 else 30 if longest < 10 else 18 if longest < 15 else 5
    angles_V = np.radians(np.arange(0, 361, degrees))
    vertices_V2 = np.stack([np.cos(angles_V), np.sin(angles_V)], axis=1) * axes + centre
    return polyline(vertices_V2, height=height, width=width)


def rectangle_ring(corner: tuple[float, float], opposite: tuple[float, float], *, height: int, width: int) -> Mask:
    """Outline of 4 pixels about the rectangle between two corners, (height, width) bool."""
    (x0, y0), (x1, y1) = corner, opposite
    vertices_V2 = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], dtype=np.float64)
    return polyline(vertices_V2, height=height, width=width)


def polyline(vertices_V2: Points, *, height: int, width: int) -> Mask:
    """Pixels of a line of 4 pixels through the vertices, (height, width) bool."""
    fixed_V2 = np.rint(vertices_V2 * ONE).astype(np.int64)
    starts_E2, ends_E2 = fixed_V2[:-1], fixed_V2[1:]
    moving_E = (starts_E2 != ends_E2).any(axis=1)
    corners_E42 = _quadrilaterals(starts_E2[moving_E], ends_E2[moving_E])
    edges_from = np.roll(corners_E42, 1, axis=1).reshape(-1, 2)
    pixels_P2 = np.concatenate(
        [_dots(fixed_V2), _edge_pixels(edges_from, corners_E42.reshape(-1, 2)), _inner_pixels(corners_E42)]
    )
    seen_P = ((pixels_P2 >= 0) & (pixels_P2 < (width, height))).all(axis=1)
    mask_HW = np.zeros((height, width), dtype=bool)
    mask_HW[pixels_P2[seen_P, 1], pixels_P2[seen_P, 0]] = True
    return mask_HW


def _dots(vertices_V2: Pixels) -> Pixels:
    """A diamond of 13 pixels at every vertex."""
    reach = range(-HALF_WIDTH, HALF_WIDTH + 1)
    diamond_D2 = np.array([(x, y) for x in reach for y in reach if abs(x) + abs(y) <= HALF_WIDTH])
    return (_nearest(vertices_V2)[:, None] + diamond_D2).reshape(-1, 2)


def _quadrilaterals(starts_E2: Pixels, ends_E2: Pixels) -> Pixels:
    """Corners (E, 4, 2) of the segments widened by half the thickness on either side."""
    along_E2 = (ends_E2 - starts_E2) / ONE
    scale_E1 = HALF_WIDTH * ONE / np.hypot(along_E2[:, :1], along_E2[:, 1:])
    across_E2 = np.rint(np.stack([along_E2[:, 1], -along_E2[:, 0]], axis=1) * scale_E1).astype(np.int64)
    return np.stack([starts_E2 + across_E2, starts_E2 - across_E2, ends_E2 - across_E2, ends_E2 + across_E2], axis=1)


def _edge_pixels(starts_E2: Pixels, ends_E2: Pixels) -> Pixels:
    """Pixels of one-pixel lines: one per step along the longer axis, plus the last point."""
    steep_E1 = (np.abs(np.subtract(ends_E2, starts_E2)) @ (1, -1) <= 0)[:, None]
    first_E2 = np.where(steep_E1, starts_E2[:, ::-1], starts_E2)
    last_E2 = np.where(steep_E1, ends_E2[:, ::-1], ends_E2)
    backwards_E1 = last_E2[:, :1] < first_E2[:, :1]
    first_E2, last_E2 = np.where(backwards_E1, last_E2, first_E2), np.where(backwards_E1, first_E2, last_E2)
    run_E, rise_E = (last_E2 - first_E2).T
    slope_E = np.sign(rise_E) * (np.abs(rise_E) * ONE // (run_E | 1))
    steps_E = run_E // ONE
    step_S = np.arange(steps_E.max(initial=0) + 1)
    major_ES = _nearest(first_E2[:, :1]) + step_S
    minor_ES = _nearest(first_E2[:, 1:] + step_S * slope_E[:, None])
    line_ES2 = np.stack([major_ES, minor_ES], axis=-1)
    line_ES2 = np.where(steep_E1[:, :, None], line_ES2[..., ::-1], line_ES2)
    tips_E2 = _nearest(np.where(steep_E1, last_E2[:, ::-1], last_E2))
    return np.concatenate([line_ES2[step_S <= steps_E[:, None]], tips_E2])


def _inner_pixels(corners_E42: Pixels) -> Pixels:
    """Pixels inside the quadrilaterals: row by row between the outermost crossings, corners snapped to rows."""
    x1_E14, y1_E14 = corners_E42[:, None, :, 0] / ONE, _nearest(corners_E42[:, None, :, 1])
    x0_E14, y0_E14 = np.roll(x1_E14, 1, axis=2), np.roll(y1_E14, 1, axis=2)
    tops_E1 = y1_E14.min(axis=2)
    rows_ER = tops_E1 + np.arange((y1_E14.max(axis=2) - tops_E1).max(initial=0) + 1)
    rows_ER1 = rows_ER[:, :, None]
    rise_E14 = np.where(y1_E14 == y0_E14, 1, y1_E14 - y0_E14)
    x_ER4 = x0_E14 + (rows_ER1 - y0_E14) * ((x1_E14 - x0_E14) / rise_E14)
    crossed_ER4 = (rows_ER1 - y0_E14) * (rows_ER1 - y1_E14) <= 0
    crossed_ER4 &= y1_E14 != y0_E14
    left_ER = np.where(crossed_ER4, x_ER4, np.inf).min(axis=2)
    right_ER = np.where(crossed_ER4, x_ER4, -np.inf).max(axis=2)
    hit_ER = np.isfinite(left_ER)
    left_S, right_S = (np.floor(x_ER[hit_ER] + 0.5).astype(np.int64) for x_ER in (left_ER, right_ER))
    columns_SX = left_S[:, None] + np.arange((right_S - left_S).max(initial=0) + 1)
    rows_SX = np.broadcast_to(rows_ER[hit_ER][:, None], columns_SX.shape)
    inside_SX = columns_SX <= right_S[:, None]
    return np.stack([columns_SX[inside_SX], rows_SX[inside_SX]], axis=1)


def _nearest(fixed: Pixels) -> Pixels:
    """Fixed point to the nearest whole pixel, halves up."""
    return (fixed + ONE // 2) // ONE
