"""Rendered scenes: several objects of one class, distractors, overlap, a textured background, and exact masks.

Belongs here: composing one image from one seed. Shapes: H x W pixels of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ops.boxes import tight_box
from resources.toyref.attributes import SCALES, VARIATIONS, sample_attributes
from resources.toyref.renderers import RENDERERS
from resources.toyref.renderers.canvas import Canvas

Focus = Literal["any", "people", "things"]
Framing = Literal["wide", "close"]
Box = tuple[int, int, int, int]

CLASSES: tuple[str, ...] = tuple(VARIATIONS)
"""COCO names of everything that is ever rendered, in COCO's order."""
FRAMINGS: tuple[Framing, ...] = ("wide", "close")
"""How much of an image an object covers: about 3 %, or about a tenth of fewer pixels."""
MIN_VISIBLE = 0.5
"""Least visible fraction of an object's own pixels."""
FOCUSES: tuple[Focus, ...] = ("any", "people", "things")


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneObject:
    """One object of a scene."""

    category: str
    """COCO class name."""
    mask_HW: NDArray[np.bool_]
    """Visible pixels."""
    box: Box
    """x0, y0, x1, y1 of the visible pixels, x1 and y1 exclusive."""
    visible: float
    """Visible fraction of the object's pixels."""
    attributes: Mapping[str, str]
    """See `attributes.sample_attributes`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """One image and its objects from back to front."""

    image_HW3: NDArray[np.uint8]
    """RGB."""
    objects: tuple[SceneObject, ...]
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """What a framing shows."""

    sizes: tuple[tuple[int, int], ...]
    """(width, height) of the images in pixels."""
    alike: tuple[int, int]
    """Fewest and most objects of the main class."""
    others: tuple[int, int]
    """Fewest and most objects of other classes."""
    scales: Mapping[str, float] = field(default_factory=lambda: SCALES)
    heights: Mapping[str, float] = field(default_factory=dict)
    """Class -> height in pixels of a medium object; that of `VARIATIONS` where it is absent."""
    attempts: int = 30
    """Spots that are tried for an object before it is left out."""


FRAMES: dict[Framing, _Frame] = {
    "wide": _Frame(sizes=((192, 160), (160, 192), (176, 176)), alike=(2, 5), others=(0, 3)),
    "close": _Frame(
        sizes=((128, 112), (112, 128), (120, 120)),
        alike=(2, 5),
        others=(0, 2),
        scales={"small": 0.74, "medium": 1.0, "large": 1.3},
        heights={
            "person": 76,
            "bicycle": 50,
            "car": 39,
            "bus": 38,
            "boat": 57,
            "bird": 62,
            "cat": 58,
            "dog": 53,
            "umbrella": 59,
            "sports ball": 47,
            "bottle": 75,
            "cup": 51,
            "banana": 60,
            "apple": 50,
            "chair": 72,
            "clock": 44,
        },
        attempts=200,
    ),
}


@dataclass(frozen=True, kw_only=True)
class _Sprite:
    category: str
    attributes: dict[str, str]
    colour_HW3: NDArray[np.float32]
    cover_HW: NDArray[np.float32]
    at: tuple[int, int]

    @property
    def box(self) -> Box:
        height, width = self.cover_HW.shape
        return self.at[0], self.at[1], self.at[0] + width, self.at[1] + height

    @property
    def window(self) -> tuple[slice, slice]:
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)


def render_scene(seed: int, *, focus: Focus = "any", framing: Framing = "close") -> Scene:
    """Render the scene of a seed: objects of a main class and a few of others, each at least half visible.

    Args:
        seed: any non-negative integer; the same arguments give the same scene.
        focus: "people" makes person the main class, "things" any other class, "any" leaves it to the seed.
        framing: "wide" shows 2 to 5 objects of the main class and up to 3 others, "close" 2 to 5 and up to 2, larger
            ones in a smaller image.

    Raises:
        ValueError: for an unknown focus or framing.
    """
    if focus not in FOCUSES:
        raise ValueError(f"focus is {focus!r}; use one of {', '.join(FOCUSES)}")
    if framing not in FRAMINGS:
        raise ValueError(f"framing is {framing!r}; use one of {', '.join(FRAMINGS)}")
    frame, number = FRAMES[framing], FRAMINGS.index(framing)
    rng = np.random.default_rng([seed, FOCUSES.index(focus), *([number] if number else [])])
    size = frame.sizes[int(rng.integers(len(frame.sizes)))]
    sprites = _compose(rng, size, focus, frame)
    image_HW3 = _background(rng, size)
    for sprite in sprites:
        view = image_HW3[sprite.window]
        view *= 1.0 - sprite.cover_HW[..., None]
        view += sprite.colour_HW3
    noise_HW3 = rng.standard_normal(image_HW3.shape, np.float32) * float(rng.uniform(1.5, 5.0))
    gain = rng.uniform(0.92, 1.08)
    image = np.clip(image_HW3 * np.float32(gain) + noise_HW3, 0, 255).astype(np.uint8)
    return Scene(image_HW3=image, objects=_objects(sprites, size), seed=seed)


def _compose(rng: np.random.Generator, size: tuple[int, int], focus: Focus, frame: _Frame) -> list[_Sprite]:
    """Sprites from back to front, at least two of the main class."""
    while True:
        main = _main_class(rng, focus)
        wanted = [main] * int(rng.integers(frame.alike[0], frame.alike[1] + 1))
        others = tuple(name for name in CLASSES if name != main)
        strangers = range(int(rng.integers(frame.others[0], frame.others[1] + 1)))
        wanted += [others[int(rng.integers(len(others)))] for _ in strangers]
        sprites: list[_Sprite] = []
        for category in wanted:
            rendered = _render(rng, category, frame, crowded=len(wanted) > 5)
            sprite = _place(rng, rendered, sprites, size, attempts=frame.attempts)
            if sprite is not None:
                sprites.append(sprite)
        sprites.sort(key=lambda sprite: sprite.box[3])
        sprites = _drop_hidden(sprites, size)
        if sum(sprite.category == main for sprite in sprites) >= 2:
            return sprites


def _main_class(rng: np.random.Generator, focus: Focus) -> str:
    if focus == "people" or (focus == "any" and rng.random() < 0.35):
        return "person"
    things = [name for name in CLASSES if name != "person"]
    return things[int(rng.integers(len(things)))]


def _render(rng: np.random.Generator, category: str, frame: _Frame, *, crowded: bool) -> _Sprite:
    variations, attributes = VARIATIONS[category], sample_attributes(rng, category)
    medium = frame.heights.get(category, variations.height)
    height = medium * frame.scales[attributes["size"]] * float(rng.uniform(0.95, 1.05)) * (0.93 if crowded else 1.0)
    if category == "person" and attributes["size"] == "large":
        height *= 0.9  # 80 pixels are half of the image
    canvas = Canvas(height, variations.aspect, tint=[int(v) for v in rng.integers(-9, 10, 3)])
    RENDERERS[category](canvas, attributes)
    colour_HW3, cover_HW = canvas.patch(flip=bool(rng.random() < 0.5))
    rows, columns = np.flatnonzero(cover_HW.max(1) > 0), np.flatnonzero(cover_HW.max(0) > 0)
    tight = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return _Sprite(
        category=category, attributes=attributes, colour_HW3=colour_HW3[tight], cover_HW=cover_HW[tight], at=(0, 0)
    )


def _place(
    rng: np.random.Generator, sprite: _Sprite, placed: list[_Sprite], size: tuple[int, int], *, attempts: int
) -> _Sprite | None:
    """The sprite at a spot where no box covers more than two fifths of a smaller one, or None if none was found."""
    height, width = sprite.cover_HW.shape
    limit = 0.4 if rng.random() < 0.4 else 0.12
    for _ in range(attempts):
        at = int(rng.integers(1, size[0] - width)), int(rng.integers(1, size[1] - height))
        box = at[0], at[1], at[0] + width, at[1] + height
        if all(_overlap(box, other.box) <= limit for other in placed):
            return _Sprite(
                category=sprite.category,
                attributes=sprite.attributes,
                colour_HW3=sprite.colour_HW3,
                cover_HW=sprite.cover_HW,
                at=at,
            )
    return None


def _overlap(one: Box, two: Box) -> float:
    """Intersection of two boxes as a fraction of the smaller one."""
    width, height = min(one[2], two[2]) - max(one[0], two[0]), min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two))
    return width * height / min(areas)


def _visible_masks(sprites: list[_Sprite], size: tuple[int, int]) -> tuple[list[NDArray[np.bool_]], list[float]]:
    """Visible masks and visible fractions, in the order of the sprites."""
    front_HW = np.full((size[1], size[0]), -1, np.int16)
    for index, sprite in enumerate(sprites):
        front_HW[sprite.window][sprite.cover_HW >= 0.5] = index
    masks = [front_HW == index for index in range(len(sprites))]
    whole = [int((sprite.cover_HW >= 0.5).sum()) for sprite in sprites]
    return masks, [int(mask.sum()) / area for mask, area in zip(masks, whole, strict=True)]


def _drop_hidden(sprites: list[_Sprite], size: tuple[int, int]) -> list[_Sprite]:
    """Leave out what is less than half visible, most hidden first, until nothing is."""
    while True:
        fractions = _visible_masks(sprites, size)[1]
        worst = int(np.argmin(fractions))
        if fractions[worst] >= MIN_VISIBLE:
            return sprites
        sprites = sprites[:worst] + sprites[worst + 1 :]


def _objects(sprites: list[_Sprite], size: tuple[int, int]) -> tuple[SceneObject, ...]:
    found = []
    for sprite, mask_HW, visible in zip(sprites, *_visible_masks(sprites, size), strict=True):
        box = tight_box(mask_HW)
        assert box is not None  # enough of every sprite is visible
        found.append(
            SceneObject(
                category=sprite.category, mask_HW=mask_HW, box=box, visible=visible, attributes=sprite.attributes
            )
        )
    return tuple(found)


def _background(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """A muted texture: grass, sky over ground, tiles, planks or a mottled wall."""
    height = size[1]
    kind = int(rng.integers(5))
    cloud_HW = _cloud(rng, size, cells=7)
    if kind == 0:
        base = np.array([120, 150, 92], np.float32)
        blades_HW = _cloud(rng, size, cells=60)
        return base + (14 * cloud_HW + 16 * blades_HW)[..., None]
    if kind == 1:
        return _landscape(rng, size, cloud_HW)
    paint = rng.uniform(135, 205) + rng.uniform(-16, 16, 3)
    image_HW3: NDArray[np.float32] = paint.astype(np.float32) + 8 * cloud_HW[..., None]
    if kind == 2:
        step = int(rng.integers(18, 34))
        image_HW3[::step] -= 26
        image_HW3[:, ::step] -= 26
    elif kind == 3:
        step = int(rng.integers(14, 26))
        shades = rng.uniform(-14, 14, height // step + 1).repeat(step)[:height]
        image_HW3 += shades[:, None, None].astype(np.float32) + np.array([10, 0, -16], np.float32)
    else:
        image_HW3 += 10 * _cloud(rng, size, cells=24)[..., None]
    return image_HW3.astype(np.float32)


def _landscape(rng: np.random.Generator, size: tuple[int, int], cloud_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    width, height = size
    horizon = int(height * rng.uniform(0.25, 0.6))
    image_HW3 = np.empty((height, width, 3), np.float32)
    fade = np.linspace(0, 1, horizon, dtype=np.float32)[:, None, None]
    image_HW3[:horizon] = np.array([150, 190, 226], np.float32) + fade * np.array([66, 40, 14], np.float32)
    ground = ((126, 148, 96), (204, 186, 146), (150, 148, 146))[int(rng.integers(3))]
    image_HW3[horizon:] = np.array(ground, np.float32) + 12 * _cloud(rng, size, cells=40)[horizon:, :, None]
    return image_HW3 + 9 * cloud_HW[..., None]


def _cloud(rng: np.random.Generator, size: tuple[int, int], *, cells: int) -> NDArray[np.float32]:
    """Smooth noise (H, W) in [-1, 1] with about `cells` bumps a side."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
