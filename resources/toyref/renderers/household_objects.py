"""Renderers of smaller things, one function a class."""

import numpy as np

from resources.toyref.renderers.canvas import METAL, RUBBER, Attributes, Canvas, lighten, shade


def chair(canvas: Canvas, attributes: Attributes) -> None:
    """A chair seen slightly from the side, perhaps with a cushion."""
    paint = canvas.colour(attributes["colour"])
    for x, foot in ((0.12, 0.93), (0.56, 0.97), (0.2, 0.86), (0.64, 0.88)):
        canvas.line([(x, 0.58), (x, foot)], paint, width=0.07)
    canvas.box(0.08, 0.03, 0.2, 0.6, paint)
    canvas.polygon([(0.08, 0.05), (0.2, 0.02), (0.24, 0.55), (0.08, 0.58)], paint)
    canvas.polygon([(0.06, 0.52), (0.62, 0.52), (0.7, 0.64), (0.1, 0.64)], paint)
    if attributes["part"] == "cushion":
        canvas.box(0.2, 0.4, 0.64, 0.53, canvas.colour(attributes["part colour"]))
    else:
        canvas.line([(0.22, 0.34), (0.6, 0.36), (0.6, 0.52)], paint, width=0.06)


def umbrella(canvas: Canvas, attributes: Attributes) -> None:
    """An open umbrella with a hooked handle."""
    paint = canvas.colour(attributes["colour"])
    canvas.line([(0.58, 0.06), (0.58, 0.9)], METAL, width=0.045)
    canvas.line([(0.58, 0.88), (0.61, 0.95), (0.68, 0.95), (0.71, 0.87)], (92, 58, 30), width=0.055)
    canvas.ellipse((0.58, 0.5), (0.55, 0.44), paint, arc=(180, 360), pattern=attributes["pattern"])
    for x in (0.3, 0.58, 0.86):
        canvas.line([(0.58, 0.07), (0.58 + 0.6 * (x - 0.58), 0.26), (x, 0.5)], shade(paint, 3 / 5), width=0.015)


def bottle(canvas: Canvas, attributes: Attributes) -> None:
    """A bottle with a neck and a cap, perhaps with a label."""
    paint = canvas.colour(attributes["colour"])
    canvas.polygon(
        [
            (0.14, 0.12),
            (0.26, 0.12),
            (0.26, 0.28),
            (0.36, 0.42),
            (0.36, 0.98),
            (0.04, 0.98),
            (0.04, 0.42),
            (0.14, 0.28),
        ],
        paint,
        pattern=attributes["pattern"],
    )
    canvas.box(0.12, 0.02, 0.28, 0.13, RUBBER if attributes["colour"] != "black" else METAL)
    canvas.line([(0.1, 0.48), (0.1, 0.92)], lighten(paint, 60), width=0.02)
    if attributes["part"] == "label":
        canvas.box(0.03, 0.54, 0.37, 0.78, canvas.colour(attributes["part colour"]))


def cup(canvas: Canvas, attributes: Attributes) -> None:
    """A mug with a handle, perhaps with a straw or a spoon."""
    paint = canvas.colour(attributes["colour"])
    if attributes["part"] == "straw":
        canvas.line([(0.42, 0.5), (0.6, 0.04), (0.74, 0.02)], canvas.colour(attributes["part colour"]), width=0.075)
    canvas.ring((0.84, 0.6), 0.17, paint, width=0.08)
    canvas.polygon([(0.08, 0.28), (0.84, 0.28), (0.76, 0.97), (0.16, 0.97)], paint, pattern=attributes["pattern"])
    canvas.ellipse((0.46, 0.28), (0.38, 0.1), shade(paint, 2 / 3))
    canvas.ellipse((0.46, 0.3), (0.3, 0.06), (70, 42, 26), edge=False)
    if attributes["part"] == "straw":
        canvas.line([(0.5, 0.29), (0.6, 0.04), (0.74, 0.02)], canvas.colour(attributes["part colour"]), width=0.075)


def apple(canvas: Canvas, attributes: Attributes) -> None:
    """An apple with a stalk, perhaps with a leaf or a bite."""
    paint = canvas.colour(attributes["colour"])
    canvas.ellipse((0.36, 0.58), (0.33, 0.38), paint)
    canvas.ellipse((0.64, 0.58), (0.33, 0.38), paint)
    canvas.ellipse((0.5, 0.6), (0.3, 0.34), paint, edge=False)
    canvas.line([(0.5, 0.28), (0.54, 0.08)], (84, 54, 28), width=0.06)
    canvas.ellipse((0.3, 0.45), (0.06, 0.1), lighten(paint, 90), angle=20, edge=False)
    if attributes["part"] == "leaf":
        canvas.ellipse((0.7, 0.14), (0.19, 0.085), (70, 170, 60), angle=-20)
    elif attributes["part"] == "bite":
        for y in (0.5, 0.66):
            canvas.ellipse((0.84, y), (0.14, 0.12), (250, 240, 206), edge=False)


def banana(canvas: Canvas, attributes: Attributes) -> None:
    """A curved banana with dark ends, perhaps with a sticker."""
    paint = canvas.colour(attributes["colour"])
    outer = [(0.6 + 0.56 * np.cos(t), 0.3 + 0.6 * np.sin(t)) for t in np.linspace(0.15, 2.9, 14)]
    inner = [(0.6 + 0.5 * np.cos(t), 0.16 + 0.42 * np.sin(t)) for t in np.linspace(2.75, 0.3, 14)]
    canvas.polygon(outer + inner, paint)
    ridge = [(0.6 + 0.53 * np.cos(t), 0.23 + 0.52 * np.sin(t)) for t in np.linspace(0.4, 2.7, 12)]
    canvas.line(ridge, shade(paint, 4 / 5), width=0.025)
    canvas.line([outer[0], (1.16, 0.2)], (84, 64, 24), width=0.1)
    canvas.line([outer[-1], (0.06, 0.36)], (60, 46, 22), width=0.09)
    if attributes["part"] == "sticker":
        canvas.ellipse((0.62, 0.72), (0.11, 0.1), canvas.colour(attributes["part colour"]))


def ball(canvas: Canvas, attributes: Attributes) -> None:
    """A ball with seams, stripes or dots."""
    paint = canvas.colour(attributes["colour"])
    canvas.ellipse((0.5, 0.5), (0.47, 0.47), paint, pattern=attributes["pattern"])
    if not attributes["pattern"]:
        seam = shade(paint, 1 / 3) if sum(paint) > 150 else (220, 220, 220)
        canvas.line([(0.5, 0.04), (0.46, 0.5), (0.5, 0.96)], seam, width=0.03)
        canvas.line([(0.04, 0.52), (0.5, 0.56), (0.96, 0.52)], seam, width=0.03)
    canvas.ellipse((0.34, 0.28), (0.1, 0.07), lighten(paint, 80), angle=-30, edge=False)


def clock(canvas: Canvas, attributes: Attributes) -> None:
    """A clock with a coloured frame, round or square, and two hands."""
    paint = canvas.colour(attributes["colour"])
    face = (246, 246, 238)
    if attributes["kind"] == "square":
        canvas.box(0.03, 0.03, 0.97, 0.97, paint)
        canvas.box(0.17, 0.17, 0.83, 0.83, face)
    else:
        canvas.ellipse((0.5, 0.5), (0.47, 0.47), paint)
        canvas.ellipse((0.5, 0.5), (0.34, 0.34), face)
    for angle in np.arange(0, 2 * np.pi, np.pi / 2):
        canvas.ellipse((0.5 + 0.27 * np.cos(angle), 0.5 + 0.27 * np.sin(angle)), (0.03, 0.03), RUBBER, edge=False)
    turn = float(attributes["hair"]) * 1.3
    canvas.line([(0.5, 0.5), (0.5 + 0.24 * np.cos(turn), 0.5 + 0.24 * np.sin(turn))], RUBBER, width=0.045)
    canvas.line([(0.5, 0.5), (0.5 + 0.16 * np.cos(turn + 2), 0.5 + 0.16 * np.sin(turn + 2))], RUBBER, width=0.06)
