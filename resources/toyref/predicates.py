"""Predicates: what may be said about an object of a rendered scene, and of which objects of the scene it is true.

Belongs here: words for classes, properties of one object, sizes, positions, and relations between two objects. They are
chosen in `expressions` and worded in `realisation`.
Every predicate is generous: it accepts whatever a reader might accept, so what it accepts once is the referent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from resources.toyref.attributes import VARIATIONS
from resources.toyref.scenes import Box, Scene, SceneObject

PredicateKind = Literal["colour", "size", "position", "relation", "pattern", "part", "class"]
Slot = Literal["size", "colour", "pattern", "state", "after"]

SYNONYMS: dict[str, tuple[str, ...]] = {
    "person": ("person", "man", "guy", "dude", "gentleman", "boy", "woman", "lady", "girl", "kid", "child"),
    "bicycle": ("bicycle", "bike"),
    "car": ("car", "automobile", "sedan"),
    "bus": ("bus", "coach"),
    "boat": ("boat", "sailboat", "ship"),
    "bird": ("bird", "birdie"),
    "cat": ("cat", "kitty", "kitten"),
    "dog": ("dog", "puppy", "doggy"),
    "umbrella": ("umbrella", "parasol"),
    "sports ball": ("ball", "sports ball"),
    "bottle": ("bottle", "flask"),
    "cup": ("cup", "mug"),
    "banana": ("banana",),
    "apple": ("apple",),
    "chair": ("chair", "seat"),
    "clock": ("clock",),
}
"""COCO class name -> words for it, the most usual first."""

MOSTLY_VISIBLE = 0.85
"""Visible fraction from which poses and parts are spoken of."""
ORDINALS = ("first", "second", "third", "fourth")
MARGIN = 8.0
"""Pixels by which box centres must differ for a word of position."""
SIZE_WORDS = ("small", "little", "smallest", "big", "large", "biggest", "tall", "tallest")
MALE, FEMALE, YOUNG = ("man", "guy", "dude", "gentleman", "boy"), ("woman", "lady", "girl"), ("kid", "child")


@dataclass(frozen=True, kw_only=True)
class Property:
    """Something that can be said about one object; `test` tells of which other objects it could be said, too."""

    kind: PredicateKind
    slot: Slot
    text: str
    test: Callable[[SceneObject], bool]
    feature: str
    """What the property speaks about; two properties of one feature are never combined."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """How an object lies to another one: `strict` to be said, `generous` for whom it could be said."""

    text: str
    strict: Callable[[SceneObject, SceneObject], bool]
    generous: Callable[[SceneObject, SceneObject], bool]
    sided: bool = False
    """Whether it names a side (left, right, above, below)."""


def nouns(thing: SceneObject) -> tuple[str, ...]:
    """Words that name this object, the most usual ones repeated so that a uniform choice favours them."""
    if thing.category != "person":
        words = SYNONYMS[thing.category]
        return (words[0], words[0], *words)
    male, kid = thing.attributes["kind"] == "man", thing.attributes["age"] == "kid"
    if kid:
        return ("kid", "child", "boy", "kid", "boy") if male else ("kid", "child", "girl", "kid", "girl")
    return (
        ("man", "guy", "man", "guy", "dude", "gentleman", "person")
        if male
        else ("woman", "lady", "woman", "lady", "person")
    )


def named_by(noun: str, thing: SceneObject) -> bool:
    """Whether `noun` could be meant for `thing`: "guy" could be any male, whatever his age, "girl" any female.

    The empty noun stands for "the one", said of people only.
    """
    if not noun:
        return thing.category == "person"
    if noun not in SYNONYMS[thing.category]:
        return False
    if noun in YOUNG:
        return thing.attributes["age"] == "kid"
    return (
        noun == "person" or thing.attributes["kind"] == ("man" if noun in MALE else "woman")
        if thing.category == "person"
        else True
    )


def properties(thing: SceneObject) -> list[Property]:
    """Everything that can be said about `thing` alone; of what is partly hidden, only what every half of it shows."""
    options = (
        [*_dress(thing), *_pose(thing)]
        if thing.category == "person"
        else [*_surface(thing), *_parts(thing), *_pose(thing)]
    )
    if thing.visible >= MOSTLY_VISIBLE:
        return options
    return [item for item in options if item.feature in ("colour", "shirt colour", "pattern")]


def _has(**wanted: str) -> Callable[[SceneObject], bool]:
    keys = {name.replace("_", " "): value for name, value in wanted.items()}
    return lambda other: all(other.attributes.get(name, "") == value for name, value in keys.items())


def _property(
    kind: PredicateKind, slot: Slot, text: str, feature: str, test: Callable[[SceneObject], bool]
) -> Property:
    return Property(kind=kind, slot=slot, text=text, feature=feature, test=test)


def _wears(colour: str) -> Callable[[SceneObject], bool]:
    return lambda other: colour in (other.attributes["colour"], other.attributes["bottom"], other.attributes["hat"])


def _dress(thing: SceneObject) -> list[Property]:
    attributes = thing.attributes
    shirt, below = attributes["colour"], attributes["bottom"]
    garment = "pants" if attributes["kind"] == "man" else "skirt"
    found = [
        _property("colour", "after", f"in {shirt}", "shirt colour", _wears(shirt)),
        _property("colour", "after", f"in {shirt} shirt", "shirt colour", _has(colour=shirt)),
        _property("colour", "after", f"in {below} {garment}", "bottom", _has(bottom=below)),
    ]
    if attributes["pattern"]:
        found += [
            _property(
                "pattern", "after", f"in {attributes['pattern']} shirt", "pattern", _has(pattern=attributes["pattern"])
            ),
            _property(
                "pattern",
                "after",
                f"in {shirt} {attributes['pattern']} shirt",
                "pattern",
                _has(colour=shirt, pattern=attributes["pattern"]),
            ),
        ]
    if attributes["hat"]:
        found += [
            _property("part", "after", "with hat", "hat", lambda other: bool(other.attributes["hat"])),
            _property("part", "after", f"with {attributes['hat']} hat", "hat", _has(hat=attributes["hat"])),
        ]
    if attributes["held"]:
        found.append(_property("part", "after", f"with {attributes['held']}", "held", _has(held=attributes["held"])))
    if attributes["held colour"]:
        test = _has(held=attributes["held"], held_colour=attributes["held colour"])
        found.append(_property("part", "after", f"with {attributes['held colour']} {attributes['held']}", "held", test))
    return found


def _surface(thing: SceneObject) -> list[Property]:
    attributes, category = thing.attributes, thing.category
    found = [_property("colour", "colour", attributes["colour"], "colour", _has(colour=attributes["colour"]))]
    if attributes["pattern"]:
        found.append(
            _property("pattern", "pattern", attributes["pattern"], "pattern", _has(pattern=attributes["pattern"]))
        )
        noun = (
            "stripes"
            if attributes["pattern"] == "striped"
            else "dots"
            if attributes["pattern"] == "dotted"
            else "spots"
        )
        found.append(_property("pattern", "after", f"with {noun}", "pattern", _has(pattern=attributes["pattern"])))
    elif VARIATIONS[category].patterns:
        found.append(_property("pattern", "size", "plain", "pattern", _has(pattern="")))
    if attributes["kind"]:
        found.append(_property("part", "pattern", attributes["kind"], "kind", _has(kind=attributes["kind"])))
    return found


def _parts(thing: SceneObject) -> list[Property]:
    part, colour = thing.attributes["part"], thing.attributes["part colour"]
    found = []
    if part and VARIATIONS[thing.category].parts != (part,):
        found.append(_property("part", "after", f"with {part}", "part", _has(part=part)))
    if part and colour:
        found.append(_property("part", "after", f"with {colour} {part}", "part", _has(part=part, part_colour=colour)))
    return found


def _pose(thing: SceneObject) -> list[Property]:
    pose = thing.attributes["pose"]
    if pose == "arms up":
        return [_property("part", "after", text, "pose", _has(pose=pose)) for text in ("with arms up", "raising hands")]
    return [_property("part", "state", pose, "pose", _has(pose=pose))] if pose else []


def size_words(thing: SceneObject, rivals: list[SceneObject]) -> list[str]:
    """Size words that single `thing` out among `rivals`, itself included, by its attribute and by its rendered size."""
    own = thing.attributes["size"]
    others = [rival for rival in rivals if rival is not thing]
    if not others or any(other.attributes["size"] == own for other in others):
        return []
    extent, extents = _extent(thing), [_extent(other) for other in others]
    if own == "small" and all(extent * 1.2 < other for other in extents):
        return ["small", "little", "smallest"]
    if own == "large" and all(extent > other * 1.2 for other in extents):
        return ["tall", "tallest"] if thing.category == "person" else ["big", "large", "biggest"]
    return []


def _extent(thing: SceneObject) -> float:
    x0, y0, x1, y1 = thing.box
    if thing.category == "person":
        return float(y1 - y0)
    return float(np.sqrt(thing.mask_HW.sum() / thing.visible)) if thing.visible else float(x1 - x0)


def centre(box: Box) -> tuple[float, float]:
    """The middle of a box, (x, y)."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def gap(one: SceneObject, two: SceneObject) -> float:
    """Distance in pixels between two boxes, 0 where they touch."""
    dx = max(0, two.box[0] - one.box[2], one.box[0] - two.box[2])
    dy = max(0, two.box[1] - one.box[3], one.box[1] - two.box[3])
    return float(np.hypot(dx, dy))


def touching(one: SceneObject, two: SceneObject) -> bool:
    """Whether the visible masks share a border of at least ten pixels, as where one hides a part of the other."""
    grown_HW = cv2.dilate(one.mask_HW.astype(np.uint8), np.ones((3, 3), np.uint8))
    return int(np.count_nonzero(grown_HW.astype(bool) & two.mask_HW)) >= 10


def _hides(front: SceneObject, back: SceneObject) -> bool:
    return back.visible < 0.93 and front.box[3] >= back.box[3] and touching(front, back)


def _could_hide(front: SceneObject, back: SceneObject) -> bool:
    return gap(front, back) < 3 and front.box[3] >= back.box[3] - 2


def _beside(
    axis: int, *, before: bool
) -> tuple[Callable[[SceneObject, SceneObject], bool], Callable[[SceneObject, SceneObject], bool]]:
    """Strict and generous tests for lying before (left of, above) or after an anchor along an axis."""

    def generous(one: SceneObject, anchor: SceneObject) -> bool:
        step = centre(anchor.box)[axis] - centre(one.box)[axis]
        return (step if before else -step) > 0

    def strict(one: SceneObject, anchor: SceneObject) -> bool:
        apart = anchor.box[axis] - one.box[axis + 2] if before else one.box[axis] - anchor.box[axis + 2]
        side = 1 - axis
        aligned = min(one.box[side + 2], anchor.box[side + 2]) - max(one.box[side], anchor.box[side]) > 4
        return apart > -4 and aligned

    return strict, generous


_LEFT, _RIGHT = _beside(0, before=True), _beside(0, before=False)
_ABOVE, _BELOW = _beside(1, before=True), _beside(1, before=False)
_NEAR = (lambda one, anchor: gap(one, anchor) <= 12, lambda one, anchor: gap(one, anchor) <= 32)
_BEHIND = (lambda one, anchor: _hides(anchor, one), lambda one, anchor: _could_hide(anchor, one))
_FRONT = (_hides, _could_hide)

RELATIONS: tuple[Relation, ...] = (
    *(Relation(text=text, strict=_NEAR[0], generous=_NEAR[1]) for text in ("next to", "near", "beside", "close to")),
    *(Relation(text=text, strict=_BEHIND[0], generous=_BEHIND[1]) for text in ("behind", "partly hidden by")),
    Relation(text="in front of", strict=_FRONT[0], generous=_FRONT[1]),
    *(Relation(text=text, strict=_LEFT[0], generous=_LEFT[1], sided=True) for text in ("left of", "to the left of")),
    *(
        Relation(text=text, strict=_RIGHT[0], generous=_RIGHT[1], sided=True)
        for text in ("right of", "to the right of")
    ),
    Relation(text="above", strict=_ABOVE[0], generous=_ABOVE[1], sided=True),
    Relation(text="below", strict=_BELOW[0], generous=_BELOW[1], sided=True),
)
"""Everything that can be said about an object and an anchor; generous tests include the strict ones."""


def relations(target: SceneObject, anchor: SceneObject, rivals: Sequence[SceneObject], *, sided: bool) -> list[str]:
    """Relations to `anchor` that hold for `target` and for none of its rivals, not even generously."""
    others = [thing for thing in rivals if thing is not target and thing is not anchor]
    return [
        relation.text
        for relation in RELATIONS
        if (sided or not relation.sided)
        and relation.strict(target, anchor)
        and not any(relation.generous(thing, anchor) for thing in others)
    ]


def anchor_name(scene: Scene, anchor: SceneObject, *, noun: str) -> str:
    """The shortest of "dog" and "brown dog" or "man in red" that means only `anchor`, or ""."""
    rivals = [thing for thing in scene.objects if named_by(noun, thing)]
    if len(rivals) == 1:
        return noun
    tone = properties(anchor)[0]
    if sum(tone.test(thing) for thing in rivals) > 1:
        return ""
    return f"{noun} {tone.text}" if tone.slot == "after" else f"{tone.text} {noun}"


def positions(target: SceneObject, rivals: Sequence[SceneObject], *, size: tuple[int, int]) -> list[tuple[str, str]]:
    """Words of position before and after the noun that mean only `target` among `rivals`; `size` is (width, height)."""
    if len(rivals) == 1:
        x, y = (value / side for value, side in zip(centre(target.box), size, strict=True))
        sides = [word for word, holds in (("left", x < 0.36), ("right", x > 0.64)) if holds]
        levels = [word for word, holds in (("top", y < 0.36), ("bottom", y > 0.64)) if holds]
        return (
            [("", f"on {word}") for word in sides]
            + [("", f"at {word}") for word in levels]
            + [("", f"on the {word}") for word in sides]
        )
    return [*_extremes(target, rivals, size), *_between(target, rivals), *_corner(target, rivals, size)]


def _extremes(target: SceneObject, rivals: Sequence[SceneObject], size: tuple[int, int]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    own = centre(target.box)
    for axis, names in enumerate((("left", "right"), ("top", "bottom"))):
        others = [centre(thing.box)[axis] for thing in rivals if thing is not target]
        for word, ahead in zip(names, (min(others) - own[axis], own[axis] - max(others)), strict=True):
            if ahead < MARGIN:
                continue
            inside = (own[axis] < 0.5 * size[axis]) == (word in ("left", "top"))
            found.append((word, ""))
            if axis == 0:
                found += (
                    [(word, ""), (f"{word}most", "")]
                    if len(others) == 1
                    else [(f"{word}most", ""), ("", f"on far {word}"), (f"far {word}", "")]
                )
                found += [("", f"on {word}"), ("", f"on the {word}"), ("", word)] if inside else []
            elif inside:
                found += [("upper" if word == "top" else "lower", ""), ("", f"at the {word}")]
    return found


def _between(target: SceneObject, rivals: Sequence[SceneObject]) -> list[tuple[str, str]]:
    """Ordinals from both sides, and the middle of three."""
    row = sorted(rivals, key=lambda thing: centre(thing.box)[0])
    across = [centre(thing.box)[0] for thing in row]
    if len(row) < 3 or min(np.diff(across)) < MARGIN:
        return []
    place = next(spot for spot, thing in enumerate(row) if thing is target)
    found = (
        [("middle", ""), ("", "in the middle"), ("center", ""), ("", "in middle")]
        if len(row) == 3 and place == 1
        else []
    )
    back = len(row) - 1 - place
    found += [(ORDINALS[spot], f"from {side}") for spot, side in ((place, "left"), (back, "right")) if 0 < spot <= 2]
    return found


def _corner(target: SceneObject, rivals: Sequence[SceneObject], size: tuple[int, int]) -> list[tuple[str, str]]:
    x, y = (value - side / 2 for value, side in zip(centre(target.box), size, strict=True))
    if min(abs(x), abs(y)) < 2 * MARGIN:
        return []
    for thing in rivals:
        other = [value - side / 2 for value, side in zip(centre(thing.box), size, strict=True)]
        if thing is not target and other[0] * np.sign(x) > -MARGIN and other[1] * np.sign(y) > -MARGIN:
            return []
    words = f"{'top' if y < 0 else 'bottom'} {'left' if x < 0 else 'right'}"
    return [(words, ""), ("", words), ("", f"at {words}")]
