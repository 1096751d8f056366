"""A supersampled canvas of unit height on which objects of the toy world are rendered, and its colours.

Coordinates are fractions of the object's height: y in [0, 1] downwards, x in [0, aspect] to the right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Attributes = Mapping[str, str]
"""See `resources.toyref.attributes`."""
Rgb = tuple[int, int, int]
Point = tuple[float, float]

SUPERSAMPLE = 3
"""Canvas pixels per image pixel along each side."""

PALETTE: dict[str, Rgb] = {
    "red": (208, 32, 36),
    "orange": (244, 134, 20),
    "yellow": (246, 216, 44),
    "green": (36, 152, 62),
    "blue": (38, 82, 208),
    "purple": (124, 48, 164),
    "pink": (246, 142, 188),
    "white": (240, 240, 240),
    "black": (34, 34, 38),
    "brown": (122, 74, 36),
    "gray": (138, 138, 144),
}
SKINS: tuple[Rgb, ...] = ((250, 214, 186), (232, 184, 146), (198, 140, 100), (146, 96, 64), (96, 62, 44))
HAIRS: tuple[Rgb, ...] = ((30, 24, 22), (84, 52, 30), (150, 96, 48), (222, 186, 104), (150, 60, 30))
GLASS: Rgb = (186, 214, 230)
RUBBER: Rgb = (30, 30, 32)
METAL: Rgb = (112, 114, 120)


class Canvas:
    """An RGB image with coverage, both at `SUPERSAMPLE` times the object's size in pixels."""

    def __init__(self, height: float, aspect: float, *, tint: Sequence[int] = (0, 0, 0)) -> None:
        """Open a canvas of `height` image pixels and width `aspect * height`; `tint` shifts named colours."""
        self.unit = height * SUPERSAMPLE
        rows, columns = (SUPERSAMPLE * max(4, round(side)) for side in (height, height * aspect))
        self.image_HW3 = np.zeros((rows, columns, 3), np.uint8)
        self.cover_HW = np.zeros((rows, columns), np.uint8)
        self.tint = tint

    def colour(self, name: str) -> Rgb:
        """A palette colour with this object's tint."""
        red, green, blue = (
            min(255, max(0, base + shift)) for base, shift in zip(PALETTE[name], self.tint, strict=True)
        )
        return red, green, blue

    def points(self, points: Sequence[Point]) -> NDArray[np.int32]:
        """Unit coordinates as canvas pixels."""
        return np.round(np.asarray(points, np.float64) * self.unit).astype(np.int32)

    def pen(self, width: float) -> int:
        """A line width in unit coordinates as whole canvas pixels, at least one image pixel."""
        return max(SUPERSAMPLE, round(width * self.unit))

    def polygon(self, points: Sequence[Point], colour: Rgb, *, pattern: str = "", edge: bool = True) -> None:
        """Fill a polygon."""
        corners = [self.points(points)]
        self._fill(lambda target, value: cv2.fillPoly(target, corners, value), colour, pattern)
        if edge:
            cv2.polylines(self.image_HW3, corners, True, shade(colour), 2)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, colour: Rgb, *, pattern: str = "", edge: bool = True
    ) -> None:
        """Fill an axis-parallel rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, pattern=pattern, edge=edge)

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        colour: Rgb,
        *,
        angle: float = 0.0,
        arc: Point = (0.0, 360.0),
        pattern: str = "",
        edge: bool = True,
    ) -> None:
        """Fill an ellipse or the sector of it between two angles in degrees (clockwise from the x axis)."""
        (x, y), (rx, ry) = self.points([centre, radii]).tolist()
        corners = cv2.ellipse2Poly((x, y), (rx, ry), int(angle), int(arc[0]), int(arc[1]), 6)
        self._fill(lambda target, value: cv2.fillPoly(target, [corners], value), colour, pattern)
        if edge:
            cv2.polylines(self.image_HW3, [corners], True, shade(colour), 2)

    def ring(self, centre: Point, radius: float, colour: Rgb, *, width: float) -> None:
        """Draw a circle's line."""
        at = tuple(int(v) for v in self.points([centre])[0])
        self._fill(
            lambda target, value: cv2.circle(target, at, round(radius * self.unit), value, self.pen(width)), colour, ""
        )

    def line(self, points: Sequence[Point], colour: Rgb, *, width: float) -> None:
        """Draw a line through points."""
        path = [self.points(points)]
        self._fill(lambda target, value: cv2.polylines(target, path, False, value, self.pen(width)), colour, "")

    def patch(self, *, flip: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Premultiplied colour (h, w, 3) and coverage (h, w) in [0, 1] at image resolution, mirrored when `flip`."""
        size = (self.cover_HW.shape[1] // SUPERSAMPLE, self.cover_HW.shape[0] // SUPERSAMPLE)
        solid_HW3 = cv2.bitwise_and(self.image_HW3, self.image_HW3, mask=self.cover_HW)
        image_HW3 = cv2.resize(solid_HW3, size, interpolation=cv2.INTER_AREA)
        cover_HW = cv2.resize(self.cover_HW, size, interpolation=cv2.INTER_AREA)
        if flip:
            image_HW3, cover_HW = image_HW3[:, ::-1], cover_HW[:, ::-1]
        return image_HW3.astype(np.float32), cover_HW.astype(np.float32) / 255.0

    def _fill(self, draw: Callable[[NDArray[np.uint8], object], object], colour: Rgb, pattern: str) -> None:
        draw(self.cover_HW, 255)
        if not pattern:
            draw(self.image_HW3, colour)
            return
        stencil_HW = np.zeros_like(self.cover_HW)
        draw(stencil_HW, 255)
        cv2.copyTo(_weave(self.cover_HW.shape, colour, pattern), stencil_HW, self.image_HW3)


def shade(colour: Rgb, factor: float = 0.55) -> Rgb:
    """The colour at a fraction of its brightness."""
    red, green, blue = (int(channel * factor + 1e-6) for channel in colour)
    return red, green, blue


def lighten(colour: Rgb, by: int) -> Rgb:
    """The colour with `by` added to each channel, at most 255."""
    red, green, blue = (min(255, channel + by) for channel in colour)
    return red, green, blue


def _contrast(colour: Rgb) -> Rgb:
    dark = sum(colour) < 480
    return (246, 246, 240) if dark else (40, 40, 60)


def _weave(shape: tuple[int, ...], colour: Rgb, pattern: str) -> NDArray[np.uint8]:
    image_HW3 = np.empty((*shape, 3), np.uint8)
    image_HW3[:] = colour
    if pattern == "striped":
        rows = np.arange(shape[0]) % (7 * SUPERSAMPLE) < 3 * SUPERSAMPLE
        image_HW3[rows] = _contrast(colour)
        return image_HW3
    step = 6 * SUPERSAMPLE
    for row, y in enumerate(range(step // 3, shape[0] + step, step)):
        for x in range(step // 3 + (row % 2) * step // 2, shape[1] + step, step):
            cv2.circle(image_HW3, (x, y), round(1.7 * SUPERSAMPLE), _contrast(colour), -1)
    return image_HW3
