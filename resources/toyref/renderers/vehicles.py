"""Renderers of vehicles, one function a class."""

import numpy as np

from resources.toyref.renderers.canvas import GLASS, HAIRS, METAL, RUBBER, Attributes, Canvas, Point


def car(canvas: Canvas, attributes: Attributes) -> None:
    """A saloon car from the side, perhaps with luggage on its roof."""
    paint = canvas.colour(attributes["colour"])
    if attributes["part"] == "luggage":
        canvas.box(0.6, 0.02, 1.25, 0.2, (150, 96, 52))
        canvas.line([(0.8, 0.02), (0.8, 0.2)], (70, 44, 26), width=0.03)
        canvas.line([(1.05, 0.02), (1.05, 0.2)], (70, 44, 26), width=0.03)
    canvas.polygon([(0.4, 0.52), (0.62, 0.18), (1.28, 0.18), (1.58, 0.52)], paint)
    canvas.polygon([(0.52, 0.5), (0.68, 0.25), (0.92, 0.25), (0.92, 0.5)], GLASS)
    canvas.polygon([(0.99, 0.5), (0.99, 0.25), (1.23, 0.25), (1.44, 0.5)], GLASS)
    canvas.polygon(
        [(0.06, 0.8), (0.08, 0.54), (0.4, 0.48), (1.58, 0.48), (1.88, 0.58), (1.9, 0.8)],
        paint,
        pattern=attributes["pattern"],
    )
    canvas.ellipse((1.84, 0.64), (0.05, 0.05), (255, 244, 170), edge=False)
    canvas.ellipse((0.11, 0.63), (0.04, 0.05), (190, 40, 40), edge=False)
    for x in (0.46, 1.5):
        _wheel(canvas, (x, 0.79), 0.185)


def bus(canvas: Canvas, attributes: Attributes) -> None:
    """A bus from the side with one or two rows of windows."""
    paint, double = canvas.colour(attributes["colour"]), attributes["kind"] == "double decker"
    top = 0.03 if double else 0.22
    canvas.box(0.04, top, 1.66, 0.86, paint, pattern=attributes["pattern"])
    for y in (0.11, 0.42) if double else (0.32,):
        canvas.box(0.1, y - 0.03, 1.62, y + 0.2, paint, edge=False)
        for column in range(5):
            canvas.box(0.13 + 0.24 * column, y, 0.31 + 0.24 * column, y + 0.17, GLASS)
    canvas.box(1.36, 0.42 if double else 0.36, 1.58, 0.84, GLASS)
    for x in (0.38, 1.24):
        _wheel(canvas, (x, 0.85), 0.135)


def bicycle(canvas: Canvas, attributes: Attributes) -> None:
    """A bicycle with a coloured frame, perhaps with a basket."""
    paint = canvas.colour(attributes["colour"])
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
    if attributes["part"] == "basket":
        canvas.polygon([(1.14, 0.2), (1.47, 0.2), (1.42, 0.44), (1.18, 0.44)], (196, 150, 84), pattern="striped")


def boat(canvas: Canvas, attributes: Attributes) -> None:
    """A sailing boat with a coloured hull and one sail."""
    paint, sail = canvas.colour(attributes["colour"]), canvas.colour(attributes["part colour"])
    canvas.line([(0.5, 0.02), (0.5, 0.74)], HAIRS[1], width=0.05)
    canvas.polygon([(0.54, 0.06), (0.94, 0.64), (0.54, 0.64)], sail)
    canvas.polygon([(0.46, 0.16), (0.14, 0.64), (0.46, 0.64)], sail)
    canvas.polygon([(0.02, 0.7), (1.0, 0.7), (0.84, 0.97), (0.18, 0.97)], paint, pattern=attributes["pattern"])


def _wheel(canvas: Canvas, centre: Point, radius: float) -> None:
    canvas.ellipse(centre, (radius, radius), RUBBER)
    canvas.ellipse(centre, (0.5 * radius, 0.5 * radius), (190, 190, 195), edge=False)
