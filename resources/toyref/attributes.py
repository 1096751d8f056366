"""Attributes of the objects of the toy world: sizes, colours, patterns, poses and parts of every class.

Belongs here: the tables and the sampling of one object's attributes. How they are rendered is in `renderers`.
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
class Variations:
    """The variations of one class."""

    height: float
    """Height in pixels of a medium object."""
    aspect: float
    """Width of the rendered object divided by its height."""
    colours: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    poses: tuple[str, ...] = ("",)
    kinds: tuple[str, ...] = ("",)
    parts: tuple[str, ...] = ("",)
    part_colours: tuple[str, ...] = ()
    """Empty where the part has a colour of its own."""


VARIATIONS: dict[str, Variations] = {
    "person": Variations(
        height=64, aspect=0.76, colours=BRIGHT, patterns=("striped", "dotted"), kinds=("man", "woman")
    ),
    "bicycle": Variations(height=40, aspect=1.5, colours=BRIGHT[:9], parts=("", "", "basket")),
    "car": Variations(height=30, aspect=1.95, colours=BRIGHT[:9], patterns=("striped",), parts=("", "", "luggage")),
    "bus": Variations(
        height=37, aspect=1.7, colours=BRIGHT[:8], patterns=("striped",), kinds=("", "", "double decker")
    ),
    "boat": Variations(
        height=46, aspect=1.02, colours=BRIGHT, parts=("sail",), part_colours=("white", "red", "yellow", "blue")
    ),
    "bird": Variations(
        height=36,
        aspect=1.2,
        colours=("red", "yellow", "blue", "green", "white", "black", "brown", "gray"),
        poses=("standing", "flying"),
    ),
    "cat": Variations(
        height=42,
        aspect=1.08,
        colours=FUR,
        patterns=("striped",),
        poses=("standing", "sitting"),
        parts=("", "", "collar"),
        part_colours=("red", "blue", "yellow", "green"),
    ),
    "dog": Variations(
        height=42,
        aspect=1.32,
        colours=FUR[:4],
        patterns=("spotted",),
        poses=("standing", "sitting"),
        parts=("", "", "collar"),
        part_colours=("red", "blue", "yellow", "green"),
    ),
    "umbrella": Variations(height=46, aspect=1.16, colours=BRIGHT[:9], patterns=("striped", "dotted")),
    "sports ball": Variations(height=37, aspect=1.0, colours=BRIGHT, patterns=("striped", "dotted")),
    "bottle": Variations(
        height=50,
        aspect=0.4,
        colours=("red", "green", "blue", "brown", "white", "black", "purple", "orange"),
        parts=("", "label"),
        part_colours=("white", "yellow", "red", "blue"),
    ),
    "cup": Variations(
        height=38,
        aspect=1.06,
        colours=BRIGHT,
        patterns=("striped", "dotted"),
        parts=("", "", "straw"),
        part_colours=("red", "white", "blue", "yellow"),
    ),
    "banana": Variations(
        height=38,
        aspect=1.22,
        colours=("yellow", "green", "brown"),
        parts=("", "sticker"),
        part_colours=("red", "blue", "white"),
    ),
    "apple": Variations(height=37, aspect=1.0, colours=("red", "green", "yellow"), parts=("", "leaf", "bite")),
    "chair": Variations(
        height=48,
        aspect=0.74,
        colours=BRIGHT,
        parts=("", "", "cushion"),
        part_colours=("red", "white", "blue", "yellow", "green"),
    ),
    "clock": Variations(height=40, aspect=1.0, colours=BRIGHT, kinds=("round", "square")),
}
"""COCO class name -> its variations; the order is COCO's."""


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _other(rng: np.random.Generator, options: tuple[str, ...], colour: str) -> str:
    return _pick(rng, tuple(name for name in options if name != colour))


def sample_attributes(rng: np.random.Generator, category: str) -> dict[str, str]:
    """Attributes of one object; keys are the same for every class and "" says that a class or object has no such thing.

    Keys: colour, size (small | medium | large), pattern, pose, kind, part, part colour, and for a person also age
    (kid | adult), bottom, hat, held, held colour. skin and hair are indices that only the renderer reads.
    """
    variations = VARIATIONS[category]
    colour = _pick(rng, variations.colours)
    part = _pick(rng, variations.parts)
    attributes = {
        "colour": colour,
        "size": _pick(rng, ("small", "medium", "medium", "large")),
        "pattern": _pick(rng, variations.patterns) if variations.patterns and rng.random() < 0.35 else "",
        "pose": _pick(rng, variations.poses),
        "kind": _pick(rng, variations.kinds),
        "part": part,
        "part colour": _other(rng, variations.part_colours, colour) if part and variations.part_colours else "",
        "skin": str(int(rng.integers(5))),
        "hair": str(int(rng.integers(5))),
    }
    return attributes | _clothes(rng, attributes) if category == "person" else attributes


def _clothes(rng: np.random.Generator, attributes: dict[str, str]) -> dict[str, str]:
    held = _pick(rng, ("", "", "", *HELD))
    return {
        "age": "kid" if attributes["size"] == "small" else "adult",
        "bottom": _other(rng, BOTTOMS, attributes["colour"]),
        "hat": _other(rng, HATS, attributes["colour"]) if rng.random() < 0.28 else "",
        "held": held,
        "held colour": _pick(rng, ("red", "blue", "yellow", "green", "pink")) if held in ("bag", "balloon") else "",
        "pose": "arms up" if held in ("", "racket") and rng.random() < 0.25 else "",
    }


def attribute_words() -> frozenset[str]:
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
    for variations in VARIATIONS.values():
        words |= {
            *variations.colours,
            *variations.patterns,
            *variations.poses,
            *variations.kinds,
            *variations.parts,
            *variations.part_colours,
        }
    return frozenset(word for phrase in words for word in phrase.split())
