"""Drawing functions of the toy world's smaller things, and the table of all drawing functions.

Belongs here: classes without limbs or wheels, and `DRAW`. Canvas, people, animals and vehicles are in `shapes`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from resources.toyref.renderers.people_animals import (
    HAIRS,
    METAL,
    RUBBER,
    Canvas,
    Look,
    bicycle,
    bus,
    car,
    cat,
    dog,
    lighten,
    person,
    shade,
)


def chair(canvas: Canvas, look: Look) -> None:
    """A chair seen slightly from the side, perhaps with a cushion."""
    paint = canvas.colour(look["colour"])
    for x, foot in ((0.12, 0.93), (0.56, 0.97), (0.2, 0.86), (0.64, 0.88)):
        canvas.line([(x, 0.58), (x, foot)], paint, width=0.07)
    canvas.box(0.08, 0.03, 0.2, 0.6, paint)
    canvas.polygon([(0.08, 0.05), (0.2, 0.02), (0.24, 0.55), (0.08, 0.58)], paint)
    canvas.polygon([(0.06, 0.52), (0.62, 0.52), (0.7, 0.64), (0.1, 0.64)], paint)
    if look["part"] == "cushion":
        canvas.box(0.2, 0.4, 0.64, 0.53, canvas.colour(look["part colour"]))
    else:
        canvas.line([(0.22, 0.34), (0.6, 0.36), (0.6, 0.52)], paint, width=0.06)


def umbrella(canvas: Canvas, look: Look) -> None:
    """An open umbrella with a hooked handle."""
    paint = canvas.colour(look["colour"])
    canvas.line([(0.58, 0.06), (0.58, 0.9)], METAL, width=0.045)
    canvas.line([(0.58, 0.88), (0.61, 0.95), (0.68, 0.95), (0.71, 0.87)], (92, 58, 30), width=0.055)
    canvas.ellipse((0.58, 0.5), (0.55, 0.44), paint, arc=(180, 360), pattern=look["pattern"])
    for x in (0.3, 0.58, 0.86):
        canvas.line([(0.58, 0.07), (0.58 + 0.6 * (x - 0.58), 0.26), (x, 0.5)], shade(paint, 3 / 5), width=0.015)


def bottle(canvas: Canvas, look: Look) -> None:
    """A bottle with a neck and a cap, perhaps with a label."""
    paint = canvas.colour(look["colour"])
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
        pattern=look["pattern"],
    )
    canvas.box(0.12, 0.02, 0.28, 0.13, RUBBER if look["colour"] != "black" else METAL)
    canvas.line([(0.1, 0.48), (0.1, 0.92)], lighten(paint, 60), width=0.02)
    if look["part"] == "label":
        canvas.box(0.03, 0.54, 0.37, 0.78, canvas.colour(look["part colour"]))


def cup(canvas: Canvas, look: Look) -> None:
    """A mug with a handle, perhaps with a straw or a spoon."""
    paint = canvas.colour(look["colour"])
    if look["part"] == "straw":
        canvas.line([(0.42, 0.5), (0.6, 0.04), (0.74, 0.02)], canvas.colour(look["part colour"]), width=0.075)
    canvas.ring((0.84, 0.6), 0.17, paint, width=0.08)
    canvas.polygon([(0.08, 0.28), (0.84, 0.28), (0.76, 0.97), (0.16, 0.97)], paint, pattern=look["pattern"])
    canvas.ellipse((0.46, 0.28), (0.38, 0.1), shade(paint, 2 / 3))
    canvas.ellipse((0.46, 0.3), (0.3, 0.06), (70, 42, 26), edge=False)
    if look["part"] == "straw":
        canvas.line([(0.5, 0.29), (0.6, 0.04), (0.74, 0.02)], canvas.colour(look["part colour"]), width=0.075)


def apple(canvas: Canvas, look: Look) -> None:
    """An apple with a stalk, perhaps with a leaf or a bite."""
    paint = canvas.colour(look["colour"])
    canvas.ellipse((0.36, 0.58), (0.33, 0.38), paint)
    canvas.ellipse((0.64, 0.58), (0.33, 0.38), paint)
    canvas.ellipse((0.5, 0.6), (0.3, 0.34), paint, edge=False)
    canvas.line([(0.5, 0.28), (0.54, 0.08)], (84, 54, 28), width=0.06)
    canvas.ellipse((0.3, 0.45), (0.06, 0.1), lighten(paint, 90), angle=20, edge=False)
    if look["part"] == "leaf":
        canvas.ellipse((0.7, 0.14), (0.19, 0.085), (70, 170, 60), angle=-20)
    elif look["part"] == "bite":
        for y in (0.5, 0.66):
            canvas.ellipse((0.84, y), (0.14, 0.12), (250, 240, 206), edge=False)


def banana(canvas: Canvas, look: Look) -> None:
    """A curved banana with dark ends, perhaps with a sticker."""
    paint = canvas.colour(look["colour"])
    outer = [(0.6 + 0.56 * np.cos(t), 0.3 + 0.6 * np.sin(t)) for t in np.linspace(0.15, 2.9, 14)]
    inner = [(0.6 + 0.5 * np.cos(t), 0.16 + 0.42 * np.sin(t)) for t in np.linspace(2.75, 0.3, 14)]
    canvas.polygon(outer + inner, paint)
    ridge = [(0.6 + 0.53 * np.cos(t), 0.23 + 0.52 * np.sin(t)) for t in np.linspace(0.4, 2.7, 12)]
    canvas.line(ridge, shade(paint, 4 / 5), width=0.025)
    canvas.line([outer[0], (1.16, 0.2)], (84, 64, 24), width=0.1)
    canvas.line([outer[-1], (0.06, 0.36)], (60, 46, 22), width=0.09)
    if look["part"] == "sticker":
        canvas.ellipse((0.62, 0.72), (0.11, 0.1), canvas.colour(look["part colour"]))


def ball(canvas: Canvas, look: Look) -> None:
    """A ball with seams, stripes or dots."""
    paint = canvas.colour(look["colour"])
    canvas.ellipse((0.5, 0.5), (0.47, 0.47), paint, pattern=look["pattern"])
    if not look["pattern"]:
        seam = shade(paint, 1 / 3) if sum(paint) > 150 else (220, 220, 220)
        canvas.line([(0.5, 0.04), (0.46, 0.5), (0.5, 0.96)], seam, width=0.03)
        canvas.line([(0.04, 0.52), (0.5, 0.56), (0.96, 0.52)], seam, width=0.03)
    canvas.ellipse((0.34, 0.28), (0.1, 0.07), lighten(paint, 80), angle=-30, edge=False)


def clock(canvas: Canvas, look: Look) -> None:
    """A clock with a coloured frame, round or square, and two hands."""
    paint = canvas.colour(look["colour"])
    face = (246, 246, 238)
    if look["kind"] == "square":
        canvas.box(0.03, 0.03, 0.97, 0.97, paint)
        canvas.box(0.17, 0.17, 0.83, 0.83, face)
    else:
        canvas.ellipse((0.5, 0.5), (0.47, 0.47), paint)
        canvas.ellipse((0.5, 0.5), (0.34, 0.34), face)
    for angle in np.arange(0, 2 * np.pi, np.pi / 2):
        canvas.ellipse((0.5 + 0.27 * np.cos(angle), 0.5 + 0.27 * np.sin(angle)), (0.03, 0.03), RUBBER, edge=False)
    turn = float(look["hair"]) * 1.3
    canvas.line([(0.5, 0.5), (0.5 + 0.24 * np.cos(turn), 0.5 + 0.24 * np.sin(turn))], RUBBER, width=0.045)
    canvas.line([(0.5, 0.5), (0.5 + 0.16 * np.cos(turn + 2), 0.5 + 0.16 * np.sin(turn + 2))], RUBBER, width=0.06)


def bird(canvas: Canvas, look: Look) -> None:
    """A bird with a beak, flying with its wings spread or standing."""
    paint = canvas.colour(look["colour"])
    wing = shade(paint, 3 / 4)
    canvas.polygon([(0.26, 0.52), (0.02, 0.44), (0.02, 0.66), (0.26, 0.66)], wing)
    flying = look["pose"] == "flying"
    if flying:
        canvas.polygon([(0.5, 0.5), (0.3, 0.03), (0.56, 0.1), (0.74, 0.5)], wing)
    else:
        for x in (0.48, 0.62):
            canvas.line([(x, 0.74), (x, 0.96), (x + 0.07, 0.96)], (236, 150, 40), width=0.045)
    canvas.ellipse((0.54, 0.58), (0.33, 0.2), paint, pattern=look["pattern"])
    if flying:
        canvas.polygon([(0.46, 0.6), (0.34, 0.97), (0.54, 0.9), (0.68, 0.6)], wing)
    else:
        canvas.ellipse((0.44, 0.58), (0.2, 0.1), wing, angle=12)
    canvas.polygon([(0.98, 0.34), (1.18, 0.42), (0.98, 0.48)], (244, 160, 30))
    canvas.ellipse((0.88, 0.4), (0.16, 0.15), paint)
    canvas.ellipse((0.92, 0.36), (0.03, 0.034), (250, 250, 250) if sum(paint) < 200 else RUBBER, edge=False)


def boat(canvas: Canvas, look: Look) -> None:
    """A sailing boat with a coloured hull and one sail."""
    paint, sail = canvas.colour(look["colour"]), canvas.colour(look["part colour"])
    canvas.line([(0.5, 0.02), (0.5, 0.74)], HAIRS[1], width=0.05)
    canvas.polygon([(0.54, 0.06), (0.94, 0.64), (0.54, 0.64)], sail)
    canvas.polygon([(0.46, 0.16), (0.14, 0.64), (0.46, 0.64)], sail)
    canvas.polygon([(0.02, 0.7), (1.0, 0.7), (0.84, 0.97), (0.18, 0.97)], paint, pattern=look["pattern"])


DRAW: dict[str, Callable[[Canvas, Look], None]] = {
    "person": person,
    "bicycle": bicycle,
    "car": car,
    "bus": bus,
    "boat": boat,
    "bird": bird,
    "cat": cat,
    "dog": dog,
    "umbrella": umbrella,
    "sports ball": ball,
    "bottle": bottle,
    "cup": cup,
    "banana": banana,
    "apple": apple,
    "chair": chair,
    "clock": clock,
}
"""COCO class name -> drawing function."""
