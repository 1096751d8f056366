"""A second reader of toy sentences: it sees only the text and the scene, and says which objects the text could mean.

It shares no predicate with `resources.toyref`: words are found with regular expressions, attributes are compared here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from resources.toyref.realisation import TYPOS
from resources.toyref.scenes import Scene, SceneObject

COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "brown", "gray"]
NOUNS = {
    "sports ball": "sports ball",
    "ball": "sports ball",
    "person": "person",
    **dict.fromkeys(["man", "guy", "dude", "gentleman", "boy", "woman", "lady", "girl", "kid", "child"], "person"),
    **dict.fromkeys(("bicycle", "bike"), "bicycle"),
    **dict.fromkeys(("car", "automobile", "sedan"), "car"),
    **dict.fromkeys(("bus", "coach"), "bus"),
    **dict.fromkeys(("boat", "sailboat", "ship"), "boat"),
    **dict.fromkeys(("bird", "birdie"), "bird"),
    **dict.fromkeys(("cat", "kitty", "kitten"), "cat"),
    **dict.fromkeys(("dog", "puppy", "doggy"), "dog"),
    **dict.fromkeys(("umbrella", "parasol"), "umbrella"),
    **dict.fromkeys(("bottle", "flask"), "bottle"),
    **dict.fromkeys(("cup", "mug"), "cup"),
    **dict.fromkeys(("chair", "seat"), "chair"),
    "banana": "banana",
    "apple": "apple",
    "clock": "clock",
}
SEXES = {
    **dict.fromkeys(["man", "guy", "dude", "gentleman", "boy"], "man"),
    **dict.fromkeys(["woman", "lady", "girl"], "woman"),
}
RELATION = re.compile(
    r"(?:^| )(to the left of|to the right of|left of|right of|next to|close to|near|beside|behind|partly hidden by"
    r"|in front of|above|below) (?:the |an? )?(.+)$"
)
PLACES = (
    r"(?P<nth>first|second|third)\b(?P<rest>.*)\bfrom (?P<side>left|right)",
    r"\b(?:(?:on|at) )?(?:the )?(?P<v>top|bottom) (?P<h>left|right)",
    r"\b(?:(?:on|at|in) (?:the )?(?:far )?|far )?(?P<one>left|right|top|bottom|middle|center|upper|lower)(?:most)?\b",
)
ENDS = {
    "left": (0, min),
    "right": (0, max),
    "top": (1, min),
    "upper": (1, min),
    "bottom": (1, max),
    "lower": (1, max),
}


def meant(text: str, scene: Scene) -> list[SceneObject]:
    """Objects that the sentence is true of."""
    correct = {wrong: right for right, wrong in TYPOS.items()}
    words = " ".join(correct.get(word, word) for word in text.split())
    relation = RELATION.search(words)
    head = re.sub(r"\b(who|which|that) is\b", "", words[: relation.start()] if relation else words)
    head, place = _take_place(head.replace("wearing", "in"))
    head, size = _take(head, ["small", "smallest", "little", "big", "large", "biggest", "tall", "tallest"])
    noun, group, rivals = _group(head, scene)
    del noun
    if size:
        group = (
            _sized(group if len(group) > 1 else rivals, large=size[0] in "blt" and size != "little") if group else []
        )
    if place and group:
        group = _placed(group, rivals, place, scene)
    if relation:
        group = _related(group, relation[1], meant(relation[2], scene))
    return group


def _take(text: str, options: Sequence[str]) -> tuple[str, str]:
    words = text.split()
    found = [word for word in words if word in options]
    return " ".join(word for word in words if word not in options), found[0] if found else ""


def _take_place(text: str) -> tuple[str, dict[str, str]]:
    for pattern in PLACES:
        found = re.search(pattern, text)
        if found:
            groups = {name: value for name, value in found.groupdict().items() if value}
            return f"{text[: found.start()]} {groups.pop('rest', '')} {text[found.end() :]}", groups
    return text, {}


def _group(text: str, scene: Scene) -> tuple[str, list[SceneObject], list[SceneObject]]:
    """The noun, the objects that noun and properties fit, and those that the noun alone fits."""
    words = re.sub(r"\b(the|an?)\b", "", text)
    words = " ".join(words.split()).replace("sports ball", "ball")
    noun = next((word for word in words.split() if word in NOUNS), "")
    if not noun:
        words = f"person in {words}"
    before, _, after = f" {words} ".partition(f" {noun or 'person'} ")
    rivals = [thing for thing in scene.objects if _named(noun or "person", thing)]
    group = [thing for thing in rivals if all(_is(word, thing) for word in _adjectives(before))]
    for opener, things in _clauses(after):
        group = [thing for thing in group if _shows(opener, things, thing)]
    return noun, group, rivals


def _named(noun: str, thing: SceneObject) -> bool:
    if NOUNS[noun] != thing.category:
        return False
    if noun in ("kid", "child"):
        return thing.attributes["size"] == "small"
    return noun not in SEXES or SEXES[noun] == thing.attributes["kind"]


def _adjectives(text: str) -> list[str]:
    return text.replace("double decker", "double-decker").split()


def _is(word: str, thing: SceneObject) -> bool:
    attributes = thing.attributes
    if word == "plain":
        return attributes["pattern"] == ""
    return word.replace("-", " ") in (
        attributes["colour"],
        attributes["pattern"],
        attributes["kind"],
        attributes["pose"],
    )


def _clauses(text: str) -> list[tuple[str, str]]:
    """("in", "red shirt"), ("with", "blue hat"), ("", "sitting") ..."""
    found: list[tuple[str, str]] = []
    for chunk in re.split(r" (?=in |with |raising |and |standing|parked|sailing|sitting|flying)", f" {text.strip()}"):
        words = chunk.split()
        if not words:
            continue
        if words[0] in ("in", "with"):
            found.append((words[0], " ".join(words[1:])))
        elif words[0] == "and":
            found.append((found[-1][0], " ".join(words[1:])))
        else:
            found.append(("", chunk.strip()))
    return found


def _shows(opener: str, phrase: str, thing: SceneObject) -> bool:
    attributes, words = thing.attributes, phrase.split()
    colour = words[0] if words[0] in COLOURS and len(words) > 1 else ""
    last = words[-1]
    if opener == "":
        if phrase == "raising hands":
            return attributes["pose"] == "arms up"
        # vehicles and people "stand" whatever they do
        moves = ("standing", "sitting", "flying")
        return (
            attributes["pose"] == phrase if attributes["pose"] in moves else phrase in ("standing", "parked", "sailing")
        )
    if last in COLOURS:
        return last in (attributes["colour"], attributes["bottom"], attributes["hat"])
    if last == "shirt":
        pattern = [word for word in words[:-1] if word not in COLOURS]
        return (not colour or attributes["colour"] == colour) and (not pattern or attributes["pattern"] == pattern[0])
    if last in ("pants", "skirt"):
        return attributes["bottom"] == colour
    if last in ("stripes", "dots", "spots"):
        return attributes["pattern"] == {"stripes": "striped", "dots": "dotted", "spots": "spotted"}[last]
    if phrase == "arms up":
        return attributes["pose"] == "arms up"
    if last == "hat":
        return bool(attributes["hat"]) and colour in ("", attributes["hat"])
    return last in (attributes.get("held"), attributes["part"]) and colour in (
        "",
        attributes.get("held colour"),
        attributes["part colour"],
    )


def _sized(group: Sequence[SceneObject], *, large: bool) -> list[SceneObject]:
    return [thing for thing in group if thing.attributes["size"] == ("large" if large else "small")]


def _middle(thing: SceneObject) -> tuple[float, float]:
    x0, y0, x1, y1 = thing.box
    return x0 + (x1 - x0) / 2, y0 + (y1 - y0) / 2


def _placed(
    group: list[SceneObject], rivals: list[SceneObject], place: dict[str, str], scene: Scene
) -> list[SceneObject]:
    """Where properties leave one object, the words of position must hold for it among all that the noun could mean."""
    pool = group if len(group) > 1 else rivals
    if len(pool) == 1 and "one" in place:
        if place["one"] not in ENDS:
            return []
        axis, end = ENDS[place["one"]]
        side = scene.image_HW3.shape[1 - axis] / 2
        return [thing for thing in pool if (_middle(thing)[axis] < side) == (end is min)]
    row = sorted(pool, key=lambda thing: _middle(thing)[0])
    if "nth" in place:
        number = ("first", "second", "third").index(place["nth"])
        if number >= len(row):
            return []
        hit = row[number] if place["side"] == "left" else row[-1 - number]
    elif place.get("one") in ("middle", "center"):
        if len(row) != 3:
            return []
        hit = row[1]
    elif "one" in place:
        axis, end = ENDS[place["one"]]
        hit = end(pool, key=lambda thing: _middle(thing)[axis])
    else:
        height, width = scene.image_HW3.shape[:2]
        quarter = [
            thing
            for thing in pool
            if (_middle(thing)[0] < width / 2) == (place["h"] == "left")
            and (_middle(thing)[1] < height / 2) == (place["v"] == "top")
        ]
        return [thing for thing in quarter if thing in group]
    return [hit] if hit in group else []


def _distance(one: SceneObject, two: SceneObject) -> float:
    low, high = np.maximum(one.box[:2], two.box[:2]), np.minimum(one.box[2:], two.box[2:])
    return float(np.linalg.norm(np.maximum(low - high, 0)))


def _related(group: list[SceneObject], relation: str, anchors: list[SceneObject]) -> list[SceneObject]:
    if len(anchors) != 1:
        return []
    anchor = anchors[0]
    others = [thing for thing in group if thing is not anchor]
    ax, ay = _middle(anchor)
    if relation.endswith("left of"):
        return [thing for thing in others if _middle(thing)[0] < ax]
    if relation.endswith("right of"):
        return [thing for thing in others if _middle(thing)[0] > ax]
    if relation in ("above", "below"):
        return [thing for thing in others if (_middle(thing)[1] < ay) == (relation == "above")]
    if relation in ("next to", "near", "beside", "close to"):
        return [thing for thing in others if _distance(thing, anchor) <= 30]
    touching = [thing for thing in others if _distance(thing, anchor) < 2]
    in_front = relation == "in front of"
    return [thing for thing in touching if (thing.box[3] >= anchor.box[3]) == in_front or thing.box[3] == anchor.box[3]]
