"""How each class of the toy world is drawn: one small function per class on a supersampled, unit-height canvas.

Belongs here: the canvas, people, animals and vehicles; the other classes are in `things`. What an object looks like is
decided in `looks`, where it stands in `scenes`.
Coordinates are fractions of the object's height: y in [0, 1] downwards, x in [0, aspect] to the right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Look = Mapping[str, str]
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


def person(canvas: Canvas, look: Look) -> None:
    """A standing person in a shirt and trousers or a skirt, perhaps with a hat, arms up, something in one hand."""
    skin, hair = SKINS[int(look["skin"])], HAIRS[int(look["hair"])]
    shirt, below = canvas.colour(look["colour"]), canvas.colour(look["bottom"])
    head = 0.135 if look["age"] == "kid" else 0.092
    x, chin = 0.31, 0.10 + 2 * head
    if look["kind"] == "woman":
        canvas.ellipse((x, chin - 0.2 * head), (1.25 * head, 1.9 * head), hair)
    _legs(canvas, x, skin, below, skirt=look["kind"] == "woman")
    hands = _arms(canvas, x, chin, shirt, skin, up=look["pose"] == "arms up")
    canvas.polygon(
        [(x - 0.13, chin), (x + 0.13, chin), (x + 0.115, 0.62), (x - 0.115, 0.62)], shirt, pattern=look["pattern"]
    )
    canvas.ellipse((x, chin - head), (head * 0.92, head * 1.08), skin)
    canvas.ellipse((x, chin - 1.25 * head), (head, 0.9 * head), hair, arc=(180, 360), edge=False)
    for side in (-1, 1):
        canvas.ellipse((x + side * 0.38 * head, chin - 0.95 * head), (0.016, 0.02), RUBBER, edge=False)
    if look["hat"]:
        colour = canvas.colour(look["hat"])
        canvas.box(x - 0.95 * head, chin - 2.75 * head, x + 0.95 * head, chin - 1.6 * head, colour)
        canvas.box(x - 1.6 * head, chin - 1.75 * head, x + 1.6 * head, chin - 1.38 * head, colour)
    _held(canvas, look, hands[1])


def _legs(canvas: Canvas, x: float, skin: Rgb, below: Rgb, *, skirt: bool) -> None:
    for side in (-1, 1):
        foot = x + side * 0.075
        canvas.line([(x + side * 0.06, 0.6), (foot, 0.95)], skin if skirt else below, width=0.085 if skirt else 0.105)
        canvas.box(foot - 0.05, 0.94, foot + 0.06, 0.985, RUBBER, edge=False)
    if skirt:
        canvas.polygon([(x - 0.11, 0.58), (x + 0.11, 0.58), (x + 0.2, 0.8), (x - 0.2, 0.8)], below)
    else:
        canvas.box(x - 0.115, 0.58, x + 0.115, 0.68, below, edge=False)


def _arms(canvas: Canvas, x: float, chin: float, shirt: Rgb, skin: Rgb, *, up: bool) -> list[Point]:
    hands: list[Point] = []
    for side in (-1, 1):
        shoulder = (x + side * 0.11, chin + 0.05)
        elbow = (x + side * 0.22, chin - 0.02 if up else chin + 0.15)
        hand = (x + side * 0.235, 0.07 if up else chin + 0.29)
        canvas.line([shoulder, elbow], shirt, width=0.075)
        canvas.line([elbow, hand], skin, width=0.06)
        canvas.ellipse(hand, (0.036, 0.036), skin, edge=False)
        hands.append(hand)
    return hands


def _held(canvas: Canvas, look: Look, hand: Point) -> None:
    x, y = hand
    if look["held"] == "bag":
        canvas.line([(x - 0.05, y + 0.1), (x, y), (x + 0.05, y + 0.1)], RUBBER, width=0.02)
        canvas.box(x - 0.075, y + 0.07, x + 0.075, y + 0.24, canvas.colour(look["held colour"]))
    elif look["held"] == "balloon":
        canvas.line([(x, y), (x + 0.09, 0.22)], (230, 230, 230), width=0.012)
        canvas.ellipse((x + 0.09, 0.12), (0.095, 0.118), canvas.colour(look["held colour"]))
    elif look["held"] == "racket":
        canvas.line([(x, y), (x + 0.06, y - 0.12)], (90, 60, 40), width=0.03)
        canvas.ellipse((x + 0.095, y - 0.2), (0.07, 0.1), (225, 225, 205), angle=20)
        canvas.line([(x + 0.06, y - 0.2), (x + 0.13, y - 0.2)], (120, 120, 120), width=0.01)


def _wheel(canvas: Canvas, centre: Point, radius: float) -> None:
    canvas.ellipse(centre, (radius, radius), RUBBER)
    canvas.ellipse(centre, (0.5 * radius, 0.5 * radius), (190, 190, 195), edge=False)


def car(canvas: Canvas, look: Look) -> None:
    """A saloon car from the side, perhaps with luggage on its roof."""
    paint = canvas.colour(look["colour"])
    if look["part"] == "luggage":
        canvas.box(0.6, 0.02, 1.25, 0.2, (150, 96, 52))
        canvas.line([(0.8, 0.02), (0.8, 0.2)], (70, 44, 26), width=0.03)
        canvas.line([(1.05, 0.02), (1.05, 0.2)], (70, 44, 26), width=0.03)
    canvas.polygon([(0.4, 0.52), (0.62, 0.18), (1.28, 0.18), (1.58, 0.52)], paint)
    canvas.polygon([(0.52, 0.5), (0.68, 0.25), (0.92, 0.25), (0.92, 0.5)], GLASS)
    canvas.polygon([(0.99, 0.5), (0.99, 0.25), (1.23, 0.25), (1.44, 0.5)], GLASS)
    canvas.polygon(
        [(0.06, 0.8), (0.08, 0.54), (0.4, 0.48), (1.58, 0.48), (1.88, 0.58), (1.9, 0.8)], paint, pattern=look["pattern"]
    )
    canvas.ellipse((1.84, 0.64), (0.05, 0.05), (255, 244, 170), edge=False)
    canvas.ellipse((0.11, 0.63), (0.04, 0.05), (190, 40, 40), edge=False)
    for x in (0.46, 1.5):
        _wheel(canvas, (x, 0.79), 0.185)


def bus(canvas: Canvas, look: Look) -> None:
    """A bus from the side with one or two rows of windows."""
    paint, double = canvas.colour(look["colour"]), look["kind"] == "double decker"
    top = 0.03 if double else 0.22
    canvas.box(0.04, top, 1.66, 0.86, paint, pattern=look["pattern"])
    for y in (0.11, 0.42) if double else (0.32,):
        canvas.box(0.1, y - 0.03, 1.62, y + 0.2, paint, edge=False)
        for column in range(5):
            canvas.box(0.13 + 0.24 * column, y, 0.31 + 0.24 * column, y + 0.17, GLASS)
    canvas.box(1.36, 0.42 if double else 0.36, 1.58, 0.84, GLASS)
    for x in (0.38, 1.24):
        _wheel(canvas, (x, 0.85), 0.135)


def bicycle(canvas: Canvas, look: Look) -> None:
    """A bicycle with a coloured frame, perhaps with a basket."""
    paint = canvas.colour(look["colour"])
    back, front, pedal, seat, bar = (0.3, 0.68), (1.2, 0.68), (0.68, 0.7), (0.56, 0.3), (1.08, 0.3)
    for hub in (back, front):
        canvas.ring(hub, 0.265, RUBBER, width=0.06)
        for angle in (0.3, 1.35, 2.4):
            dx, dy = 0.25 * np.cos(angle), 0.25 * np.sin(angle)
            canvas.line([(hub[0] - dx, hub[1] - dy), (hub[0] + dx, hub[1] + dy)], (165, 165, 170), width=0.012)
    for path in ([back, pedal, bar, seat, pedal], [back, seat], [front, bar, (1.04, 0.18)]):
        canvas.line(path, paint, width=0.085)
    canvas.box(0.42, 0.2, 0.7, 0.28, RUBBER)
    canvas.line([(0.92, 0.14), (1.12, 0.16), (1.18, 0.24)], RUBBER, width=0.05)
    canvas.ellipse(pedal, (0.07, 0.07), METAL)
    if look["part"] == "basket":
        canvas.polygon([(1.14, 0.2), (1.47, 0.2), (1.42, 0.44), (1.18, 0.44)], (196, 150, 84), pattern="striped")


def dog(canvas: Canvas, look: Look) -> None:
    """A dog with hanging ears and a snout, standing or sitting, perhaps with a collar."""
    fur, sitting = canvas.colour(look["colour"]), look["pose"] == "sitting"
    dark = shade(fur)
    if sitting:
        canvas.line([(0.3, 0.86), (0.12, 0.7)], fur, width=0.09)
        canvas.ellipse((0.46, 0.78), (0.22, 0.19), fur, pattern=look["pattern"])
        canvas.polygon(
            [(0.36, 0.7), (0.62, 0.3), (0.86, 0.4), (0.84, 0.95), (0.7, 0.95), (0.62, 0.8)],
            fur,
            pattern=look["pattern"],
        )
        head = (0.8, 0.28)
    else:
        canvas.line([(0.2, 0.5), (0.07, 0.24)], fur, width=0.085)
        for x in (0.26, 0.38, 0.76, 0.88):
            canvas.box(x - 0.05, 0.62, x + 0.05, 0.97, fur)
        canvas.ellipse((0.56, 0.55), (0.42, 0.2), fur, pattern=look["pattern"])
        canvas.polygon([(0.74, 0.5), (0.84, 0.2), (1.04, 0.36), (0.94, 0.62)], fur, edge=False)
        head = (0.96, 0.27)
    if look["part"] == "collar":
        canvas.line(
            [(head[0] - 0.18, head[1] + 0.12), (head[0] + 0.06, head[1] + 0.24)],
            canvas.colour(look["part colour"]),
            width=0.1,
        )
    canvas.ellipse((head[0] + 0.14, head[1] + 0.06), (0.17, 0.085), fur, angle=10)
    canvas.ellipse(head, (0.17, 0.155), fur)
    canvas.ellipse((head[0] + 0.29, head[1] + 0.06), (0.045, 0.045), RUBBER, edge=False)
    canvas.ellipse((head[0] - 0.1, head[1] + 0.04), (0.07, 0.17), dark, angle=12)
    canvas.ellipse(
        (head[0] + 0.06, head[1] - 0.04), (0.028, 0.03), (250, 250, 250) if sum(fur) < 200 else RUBBER, edge=False
    )


def cat(canvas: Canvas, look: Look) -> None:
    """A cat with pointed ears and a long raised tail, standing or sitting, perhaps with a collar."""
    fur, sitting = canvas.colour(look["colour"]), look["pose"] == "sitting"
    if sitting:
        canvas.line([(0.34, 0.9), (0.14, 0.86), (0.08, 0.66), (0.16, 0.5)], fur, width=0.085)
        canvas.ellipse((0.5, 0.72), (0.24, 0.27), fur, pattern=look["pattern"])
        for x in (0.46, 0.62):
            canvas.box(x - 0.045, 0.7, x + 0.045, 0.97, fur)
        head = (0.56, 0.34)
    else:
        canvas.line([(0.2, 0.56), (0.08, 0.4), (0.08, 0.16), (0.18, 0.05)], fur, width=0.08)
        for x in (0.26, 0.37, 0.66, 0.77):
            canvas.box(x - 0.042, 0.66, x + 0.042, 0.97, fur)
        canvas.ellipse((0.5, 0.6), (0.35, 0.165), fur, pattern=look["pattern"])
        head = (0.84, 0.4)
    if look["part"] == "collar":
        canvas.ellipse((head[0] - 0.02, head[1] + 0.17), (0.15, 0.075), canvas.colour(look["part colour"]))
    for side in (-1, 1):
        ear = head[0] + side * 0.12
        canvas.polygon(
            [(ear - 0.085, head[1] - 0.08), (ear + side * 0.05, head[1] - 0.3), (ear + 0.085, head[1] - 0.08)], fur
        )
    canvas.ellipse(head, (0.215, 0.18), fur)
    for side in (-1, 1):
        canvas.ellipse((head[0] + side * 0.085, head[1] - 0.02), (0.042, 0.042), (150, 220, 90), edge=False)
        canvas.ellipse((head[0] + side * 0.085, head[1] - 0.02), (0.018, 0.036), RUBBER, edge=False)
    canvas.ellipse((head[0], head[1] + 0.07), (0.03, 0.022), (236, 140, 150), edge=False)
