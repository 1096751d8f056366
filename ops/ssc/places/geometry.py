"""Where boxes lie: the utility of each box for one statement about places (see PLACES.md for every formula).

Shapes: N boxes, M of them. Utilities are in shares of the image or ranks, the higher the better; each kind's sharpness
makes nats of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
SIZE = 0.1
"""Of the logarithm of a box's area in how far in front a thing is: what is near is low in the picture, and large."""
UPRIGHT = 0.6
"""Weight of heights in "middle", relative to 1 for left and right."""
CLEAR = 0.1
"""Share of the image by which a thing lies clearly on one side of another."""
TWICE = 0.7
"""IoU above which two boxes are one object."""

OPPOSITE = {"left": "right", "top": "bottom", "back": "front", "smallest": "biggest", "shortest": "tallest"}


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
        """Columns x and y."""
        return (self.boxes_N4[:, :2] + self.boxes_N4[:, 2:]) / 2

    @property
    def sides_N2(self) -> Floats:
        """Columns width and height."""
        return self.boxes_N4[:, 2:] - self.boxes_N4[:, :2]

    @property
    def areas_N(self) -> Floats:
        """Shares of the image."""
        return self.sides_N2.prod(1)


def scene_of(
    boxes_N4: Sequence[Sequence[float]], size: tuple[float, float], kinds_N: Sequence[frozenset[str]]
) -> Scene:
    """A scene of boxes in pixels; `size` is width and height of the image."""
    width, height = size
    scaled = np.asarray(boxes_N4, float).reshape(-1, 4) / [width, height, width, height]
    return Scene(boxes_N4=scaled, aspect=width / height, kinds_N=tuple(kinds_N))


def estimated_size(
    boxes_N4: Sequence[Sequence[float]], longest: float = 640.0, usual: float = 427.0
) -> tuple[float, float]:
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
    x, y = scene.centres_N2.T
    low = (y + scene.boxes_N4[:, 3]) / 2
    size = np.log(np.maximum(scene.areas_N, 1e-6))
    height = np.log(np.maximum(scene.sides_N2[:, 1], 1e-3))
    along = {"right": x, "bottom": y, "front": low + SIZE * size, "biggest": size, "tallest": height}
    return along[direction] if direction in along else -along[OPPOSITE[direction]]


def middle(scene: Scene, peers: Sequence[int] | Indices) -> Floats:
    """Nearness to the middle of the image and, as much, to the median of the things that are asked for."""
    median_2 = np.median(scene.centres_N2[peers], axis=0)
    away_N2 = (np.abs(scene.centres_N2 - 0.5) + np.abs(scene.centres_N2 - median_2)) / 2
    return -(away_N2 @ [1.0, UPRIGHT])


def corner(scene: Scene) -> Floats:
    """Nearness of the box to any corner of the image."""
    return -np.minimum(scene.boxes_N4[:, :2], 1 - scene.boxes_N4[:, 2:]).clip(0).sum(1)


def end(scene: Scene) -> Floats:
    """Distance from the middle line: a left or a right end."""
    return np.abs(scene.centres_N2[:, 0] - 0.5)


def clock(scene: Scene, hour: int) -> Floats:
    """How well the direction from the middle of all boxes fits an hour of a clock's face, from -1 to 1."""
    middle_2 = (scene.boxes_N4[:, :2].min(0) + scene.boxes_N4[:, 2:].max(0)) / 2
    offsets_N2 = (scene.centres_N2 - middle_2) * [scene.aspect, 1.0]
    angle = np.deg2rad(30 * hour)
    lengths_N = np.maximum(np.linalg.norm(offsets_N2, axis=1), 1e-6)
    return (offsets_N2 @ [np.sin(angle), -np.cos(angle)]) / lengths_N


def gaps(scene: Scene, anchor: int) -> Floats:
    """Distance of each box from an anchor's box, and half of that of the centres; in heights of the image."""
    boxes_N4, other_4, scale_2 = scene.boxes_N4, scene.boxes_N4[anchor], [scene.aspect, 1.0]
    apart_N2 = np.maximum(other_4[:2] - boxes_N4[:, 2:], boxes_N4[:, :2] - other_4[2:]).clip(0) * scale_2
    centres_N2 = (scene.centres_N2 - scene.centres_N2[anchor]) * scale_2
    distances_N: Floats = np.linalg.norm(apart_N2, axis=1) + np.linalg.norm(centres_N2, axis=1) / 2
    return distances_N


def amid(scene: Scene, rows: Sequence[int] | Indices) -> Floats:
    """Nearness to the middle between the centres of some boxes; what is above or below counts half."""
    centres_M2 = scene.centres_N2[rows]
    middle_2 = (centres_M2.min(0) + centres_M2.max(0)) / 2
    nearness_N: Floats = -np.linalg.norm((scene.centres_N2 - middle_2) * [1.0, 0.5], axis=1)
    return nearness_N


def ranks(scene: Scene, direction: str, counted: Sequence[int] | Indices) -> tuple[Floats, int]:
    """(N,) how many of the counted things lie farther in a direction than each box does, and how many things there are.

    Boxes that show one object are one thing together.
    """
    ahead_N, same_NN = towards(scene, direction), _same(scene)
    weights_M = 1 / same_NN[counted][:, counted].sum(1)
    farther_NM = (ahead_N[counted] > ahead_N[:, None] + 1e-9) & ~same_NN[:, counted]
    return farther_NM @ weights_M, max(1, round(float(weights_M.sum())))


def lines(scene: Scene, peers: Sequence[int] | Indices) -> Floats:
    """(N,) number of the row in which each box stands, 0 for the upmost.

    A new row begins where centres are farther apart than half of the usual height.
    """
    heights_P = np.sort(scene.centres_N2[peers, 1])
    step = np.median(scene.sides_N2[peers, 1]) / 4
    starts = [(upper + lower) / 2 for upper, lower in pairwise(heights_P) if lower - upper > step]
    return np.searchsorted(starts, scene.centres_N2[:, 1]).astype(float)


def _same(scene: Scene) -> NDArray[np.bool_]:
    """(N, N) whether two boxes are one object, found twice: IoU above `TWICE`."""
    boxes_N4 = scene.boxes_N4
    common_NN2 = np.minimum(boxes_N4[:, None, 2:], boxes_N4[:, 2:]) - np.maximum(boxes_N4[:, None, :2], boxes_N4[:, :2])
    shared_NN = common_NN2.clip(0).prod(2)
    union_NN = scene.areas_N[:, None] + scene.areas_N - shared_NN
    return (shared_NN > TWICE * union_NN) | np.eye(len(boxes_N4), dtype=bool)
