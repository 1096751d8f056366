"""What the objects of the toy world can look like: sizes, colours, patterns, poses and parts of every class.

Belongs here: the tables and the sampling of one object's attributes. How they are drawn is in `shapes` and `things`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BRIGHT = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "brown")
FUR = ("brown", "black", "white", "gray", "orange")
BOTTOMS = ("blue", "black", "brown", "gray", "white", "red", "green")
HATS = ("red", "blue", "white", "black", "yellow", "green")
HELD = ("bag", "balloon", "racket")
SCALES: dict[str, float] = {"small": 0.70, "medium": 1.0, "large": 1.35}


@dataclass(frozen=True, kw_only=True)
class Make:
    """The variations of one class."""

    height: float
    """Height in pixels of a medium object."""
    aspect: float
    """Width of the drawing divided by its height."""
    colours: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    poses: tuple[str, ...] = ("",)
    kinds: tuple[str, ...] = ("",)
    parts: tuple[str, ...] = ("",)
    part_colours: tuple[str, ...] = ()
    """Empty where the part has a colour of its own."""


MAKES: dict[str, Make] = {
    "person": Make(height=64, aspect=0.76, colours=BRIGHT, patterns=("striped", "dotted"), kinds=("man", "woman")),
    "bicycle": Make(height=40, aspect=1.5, colours=BRIGHT[:9], parts=("", "", "basket")),
    "car": Make(height=30, aspect=1.95, colours=BRIGHT[:9], patterns=("striped",), parts=("", "", "luggage")),
    "bus": Make(height=37, aspect=1.7, colours=BRIGHT[:8], patterns=("striped",), kinds=("", "", "double decker")),
    "boat": Make(
        height=46, aspect=1.02, colours=BRIGHT, parts=("sail",), part_colours=("white", "red", "yellow", "blue")
    ),
    "bird": Make(
        height=36,
        aspect=1.2,
        colours=("red", "yellow", "blue", "green", "white", "black", "brown", "gray"),
        poses=("standing", "flying"),
    ),
    "cat": Make(
        height=42,
        aspect=1.08,
        colours=FUR,
        patterns=("striped",),
        poses=("standing", "sitting"),
        parts=("", "", "collar"),
        part_colours=("red", "blue", "yellow", "green"),
    ),
    "dog": Make(
        height=42,
        aspect=1.32,
        colours=FUR[:4],
        patterns=("spotted",),
        poses=("standing", "sitting"),
        parts=("", "", "collar"),
        part_colours=("red", "blue", "yellow", "green"),
    ),
    "umbrella": Make(height=46, aspect=1.16, colours=BRIGHT[:9], patterns=("striped", "dotted")),
    "sports ball": Make(height=37, aspect=1.0, colours=BRIGHT, patterns=("striped", "dotted")),
    "bottle": Make(
        height=50,
        aspect=0.4,
        colours=("red", "green", "blue", "brown", "white", "black", "purple", "orange"),
        parts=("", "label"),
        part_colours=("white", "yellow", "red", "blue"),
    ),
    "cup": Make(
        height=38,
        aspect=1.06,
        colours=BRIGHT,
        patterns=("striped", "dotted"),
        parts=("", "", "straw"),
        part_colours=("red", "white", "blue", "yellow"),
    ),
    "banana": Make(
        height=38,
        aspect=1.22,
        colours=("yellow", "green", "brown"),
        parts=("", "sticker"),
        part_colours=("red", "blue", "white"),
    ),
    "apple": Make(height=37, aspect=1.0, colours=("red", "green", "yellow"), parts=("", "leaf", "bite")),
    "chair": Make(
        height=48,
        aspect=0.74,
        colours=BRIGHT,
        parts=("", "", "cushion"),
        part_colours=("red", "white", "blue", "yellow", "green"),
    ),
    "clock": Make(height=40, aspect=1.0, colours=BRIGHT, kinds=("round", "square")),
}
"""COCO class name -> its variations; the order is COCO's."""


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _other(rng: np.random.Generator, options: tuple[str, ...], colour: str) -> str:
    return _pick(rng, tuple(name for name in options if name != colour))


def sample_look(rng: np.random.Generator, category: str) -> dict[str, str]:
    """Attributes of one object; keys are the same for every class and "" says that a class or object has no such thing.

    Keys: colour, size (small | medium | large), pattern, pose, kind, part, part colour, and for a person also age
    (kid | adult), bottom, hat, held, held colour. skin and hair are indices that only the drawing reads.
    """
    make = MAKES[category]
    colour = _pick(rng, make.colours)
    part = _pick(rng, make.parts)
    look = {
        "colour": colour,
        "size": _pick(rng, ("small", "medium", "medium", "large")),
        "pattern": _pick(rng, make.patterns) if make.patterns and rng.random() < 0.35 else "",
        "pose": _pick(rng, make.poses),
        "kind": _pick(rng, make.kinds),
        "part": part,
        "part colour": _other(rng, make.part_colours, colour) if part and make.part_colours else "",
        "skin": str(int(rng.integers(5))),
        "hair": str(int(rng.integers(5))),
    }
    return look | _clothes(rng, look) if category == "person" else look


def _clothes(rng: np.random.Generator, look: dict[str, str]) -> dict[str, str]:
    held = _pick(rng, ("", "", "", *HELD))
    return {
        "age": "kid" if look["size"] == "small" else "adult",
        "bottom": _other(rng, BOTTOMS, look["colour"]),
        "hat": _other(rng, HATS, look["colour"]) if rng.random() < 0.28 else "",
        "held": held,
        "held colour": _pick(rng, ("red", "blue", "yellow", "green", "pink")) if held in ("bag", "balloon") else "",
        "pose": "arms up" if held in ("", "racket") and rng.random() < 0.25 else "",
    }


def vocabulary_of_looks() -> frozenset[str]:
    """Every word that names a colour, pattern, pose, kind, part, garment or held thing."""
    words = {
        *BRIGHT,
        *FUR,
        *BOTTOMS,
        *HELD,
        "arms up",
        "hat",
        "shirt",
        "pants",
        "skirt",
        "stripes",
        "dots",
        "spots",
        "plain",
    }
    for make in MAKES.values():
        words |= {*make.colours, *make.patterns, *make.poses, *make.kinds, *make.parts, *make.part_colours}
    return frozenset(word for phrase in words for word in phrase.split())
