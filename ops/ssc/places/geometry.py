"""Where boxes lie: the utility of each box for one statement about places (see PLACES.md for every formula).

Shapes: N boxes. Utilities have no unit but for a scale of their own, the sharpness of their kind; the higher the better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The boxes of an image, candidates and landmarks alike."""

    boxes_N4: Floats
    """x0, y0, x1, y1 in shares of the image's width and height."""
    aspect: float
    """Width of the image over its height."""
    kinds_N: tuple[frozenset[str], ...]
    """What each box is known to be (see `ops.ssc.places.nouns`); empty where nothing is known."""

    def __post_init__(self) -> None:
        """One set of kinds for each box."""
        assert self.boxes_N4.shape == (len(self.kinds_N), 4)

    @property
    def centres_N2(self) -> Floats:
        """x and y."""
        return (self.boxes_N4[:, :2] + self.boxes_N4[:, 2:]) / 2

    @property
    def sides_N2(self) -> Floats:
        """Width and height."""
        return self.boxes_N4[:, 2:] - self.boxes_N4[:, :2]

    @property
    def areas_N(self) -> Floats:
        """Shares of the image."""
        return self.sides_N2.prod(1)


def scene_of(boxes_N4: Sequence[Sequence[float]], size: tuple[float, float], kinds_N: Sequence[frozenset[str]]) -> Scene:
    """A scene of boxes in pixels; `size` is width and height of the image."""
    width, height = size
    scaled = np.asarray(boxes_N4, float).reshape(-1, 4) / [width, height, width, height]
    return Scene(boxes_N4=scaled, aspect=width / height, kinds_N=tuple(kinds_N))


def estimated_size(boxes_N4: Sequence[Sequence[float]], longest: float = 640.0, usual: float = 427.0) -> tuple[float, float]:
    """Width and height of an image of which only some boxes are known.

    COCO's images have a longer side of 640 pixels; the shorter one is 427 for most. The longer side is the one that
    the boxes reach farther along.
    """
    right, bottom = np.asarray(boxes_N4, float).reshape(-1, 4)[:, 2:].max(0)
    if right >= bottom:
        return float(max(right, longest)), float(max(bottom, usual))
    return float(max(right, usual)), float(max(bottom, longest))


def towards(scene: Scene, direction: str) -> Floats:
    """(N,) how far each box lies in a direction, in shares of the image; sizes as logarithms."""
    x0, y0, x1, y1 = scene.boxes_N4.T
    x, y = scene.centres_N2.T
    width, height = scene.sides_N2.T
    sizes = np.log(np.maximum(scene.areas_N, 1e-6))
    tall = np.log(np.maximum(height, 1e-3))
    return {
        "left": -x,
        "right": x,
        "top": -y,
        "bottom": y,
        "front": y1 + 0.25 * sizes,
        "back": -y1 - 0.25 * sizes,
        "biggest": sizes,
        "smallest": -sizes,
        "tallest": tall,
        "shortest": -tall,
    }[direction]


def middle(scene: Scene) -> Floats:
    """Nearness to the middle of the image, of which the horizontal part counts most."""
    away = np.abs(scene.centres_N2 - 0.5)
    return -(away[:, 0] + 0.4 * away[:, 1])


def corner(scene: Scene) -> Floats:
    """Nearness of the box to any corner of the image."""
    return -np.minimum(scene.boxes_N4[:, :2], 1 - scene.boxes_N4[:, 2:]).clip(0).sum(1)


def end(scene: Scene) -> Floats:
    """Distance from the middle line: a left or a right end."""
    return np.abs(scene.centres_N2[:, 0] - 0.5)


def clock(scene: Scene, hour: int) -> Floats:
    """How well the direction from the middle of the boxes fits an hour of a clock's face, from -1 to 1."""
    middle_2 = (scene.boxes_N4[:, :2].min(0) + scene.boxes_N4[:, 2:].max(0)) / 2
    offsets_N2 = (scene.centres_N2 - middle_2) * [scene.aspect, 1.0]
    angle = np.deg2rad(30 * hour)
    lengths_N = np.maximum(np.linalg.norm(offsets_N2, axis=1), 1e-6)
    return (offsets_N2 @ [np.sin(angle), -np.cos(angle)]) / lengths_N


def gaps(scene: Scene, anchor: int) -> Floats:
    """(N,) distance of each box from the box of an anchor, 0 where they touch, and half of that of the centres."""
    boxes, other = scene.boxes_N4, scene.boxes_N4[anchor]
    apart = np.maximum(0, np.maximum(other[:2] - boxes[:, 2:], boxes[:, :2] - other[2:])) * [scene.aspect, 1]
    centres = (scene.centres_N2 - scene.centres_N2[anchor]) * [scene.aspect, 1]
    return np.linalg.norm(apart, axis=1) + 0.5 * np.linalg.norm(centres, axis=1)
