"""Referring expressions for objects of a rendered scene, in three styles, each true of exactly one object.

Belongs here: choosing predicates until they single the referent out. What they mean is in `predicates`, their wording
in `realisation`.
Styles: "toyref" is short and may use positions, "toyref+" has no absolute position, "toyrefg" speaks in whole phrases.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from resources.toyref.predicates import (
    ORDINALS,
    SYNONYMS,
    PredicateKind,
    Property,
    anchor_name,
    named_by,
    nouns,
    positions,
    properties,
    relations,
    size_words,
)
from resources.toyref.realisation import POSITION_WORDS, STYLES, Draft, Style, chosen, misspell, realise, vocabulary
from resources.toyref.scenes import Scene, SceneObject

__all__ = [
    "POSITION_WORDS",
    "STYLES",
    "SYNONYMS",
    "Draft",
    "Expression",
    "Style",
    "describe",
    "draft_expression",
    "vocabulary",
]

GARMENTS = ("shirt", "pants", "skirt")
EXPRESSIONS_PER_OBJECT = 3
TRIES = 24
PREDICATE_SHARES: dict[Style, dict[str, float]] = {
    "toyref": {"position": 0.44, "relation": 0.08, "size": 0.12},
    "toyref+": {"relation": 0.24, "size": 0.22},
    "toyrefg": {"relation": 0.52, "size": 0.14},
}
"""How often an expression is built around a position, a relation or a size; the rest uses properties."""


@dataclass(frozen=True, kw_only=True)
class Expression:
    """An expression and the kinds of predicates in it."""

    text: str
    """Lower-case words separated by single spaces."""
    kinds: frozenset[PredicateKind]
    cue: frozenset[str] = frozenset()
    """What tells the referent apart, however it is worded, see `realisation.Draft.cue`."""


def describe(
    scene: Scene, index: int, *, style: Style, rng: np.random.Generator, shared: float = 0.0
) -> list[Expression]:
    """About three different expressions that single out object `index`; fewer, perhaps none, where the style cannot.

    Args:
        scene: with the object.
        index: of the object.
        style: of the expressions.
        rng: what is said follows from it.
        shared: chance that an expression takes up the cue of an earlier one in other words, where it has some; 0: they
            differ in what they say.

    Raises:
        ValueError: for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"style is {style!r}; use one of {', '.join(STYLES)}")
    found: dict[str, Expression] = {}
    drafts: list[Draft] = []
    like: Draft | None = None
    for attempt in range(TRIES if not shared else 2 * TRIES):
        draft = draft_expression(scene, scene.objects[index], style=style, rng=rng, like=like)
        if draft is None or (attempt < TRIES // 2 and not _is_wanted(draft, drafts, like, by_cue=shared > 0)):
            continue
        text = misspell(realise(draft, style=style, rng=rng), rng)
        if text.removeprefix("the ") not in found:
            found[text.removeprefix("the ")] = Expression(text=text, kinds=draft.kinds, cue=draft.cue)
            drafts.append(draft)
            like = chosen(rng, drafts) if shared and rng.random() < shared else None
        if len(found) == EXPRESSIONS_PER_OBJECT:
            break
    return list(found.values())


def _is_wanted(draft: Draft, earlier: Sequence[Draft], like: Draft | None, *, by_cue: bool) -> bool:
    """Whether a draft says the same as `like`, or, where nothing is to be taken up, something new."""
    if like is not None:
        return draft.cue == like.cue
    if by_cue:
        return draft.cue not in [one.cue for one in earlier]
    return draft.key not in [one.key for one in earlier]


def draft_expression(
    scene: Scene, target: SceneObject, *, style: Style, rng: np.random.Generator, like: Draft | None = None
) -> Draft | None:
    """Choose predicates that single out `target`, or None where this attempt did not.

    With `like`, an earlier draft for it, only predicates of the same kinds and features are tried.
    """
    terse = style != "toyrefg"
    headless = terse and target.category == "person" and rng.random() < 0.15
    noun = "" if headless else chosen(rng, nouns(target))
    rivals = [thing for thing in scene.objects if named_by(noun, thing)]
    plan = like.plan if like else _plan(rng, style)
    count = len(like.properties) if like else _count(rng, plan, terse, headless, len(rivals))
    if headless and count != 1:
        return None
    features = {item.feature for item in like.properties} if like else None
    draft, left = _add_properties(rng, Draft(noun=noun), target, rivals, count=count, features=features)
    if headless and not draft.properties:
        return None
    if plan == "position":
        draft, left = _add_position(rng, draft, target, left if len(left) > 1 else rivals, scene)
    elif plan == "size":
        draft, left = _add_size(rng, draft, target, left if len(left) > 1 else rivals)
        left = left if draft.size else []
    elif plan == "relation":
        draft, left = _add_relation(rng, draft, target, left, scene, sided=style != "toyref+")
    if plan == "property" and len(left) > 1:
        draft, left = _add_size(rng, draft, target, left)
    return draft if left == [target] else None


def _plan(rng: np.random.Generator, style: Style) -> str:
    roll = float(rng.random())
    for plan, share in PREDICATE_SHARES[style].items():
        if roll < share:
            return plan
        roll -= share
    return "property"


def _count(rng: np.random.Generator, plan: str, terse: bool, headless: bool, rivals: int) -> int:
    """How many properties to say."""
    if headless:
        return 1
    if plan != "property":
        return int(rng.random() < (0.4 if terse else 0.7))
    if rivals == 1 and rng.random() < 0.3:
        return 0
    return 1 + int(rng.random() < (0.3 if terse else 0.8))


def _add_properties(
    rng: np.random.Generator,
    draft: Draft,
    target: SceneObject,
    rivals: list[SceneObject],
    *,
    count: int,
    features: Collection[str] | None,
) -> tuple[Draft, list[SceneObject]]:
    """Say `count` properties of different features, of these if given; if the plan is to say some, they should tell."""
    picked: list[Property] = []
    options = [item for item in properties(target) if features is None or item.feature in features]
    for place in rng.permutation(len(options)):
        item = options[int(place)]
        if len(picked) == count:
            break
        if not draft.noun and not _is_garment(item):
            continue
        if all(_goes_with(item, other) for other in picked):
            picked.append(item)
    left = [thing for thing in rivals if all(item.test(thing) for item in picked)]
    return replace(draft, properties=tuple(picked)), left


def _goes_with(one: Property, two: Property) -> bool:
    """Whether both fit into one expression: two features, two places, and not "in red in blue pants"."""
    if one.feature == two.feature or (one.slot == two.slot and one.slot != "after"):
        return False
    dressed = one.text.startswith("in ") and two.text.startswith("in ")
    return not dressed or (
        _is_garment(one) and _is_garment(two) and {one.feature, two.feature} != {"shirt colour", "pattern"}
    )


def _is_garment(item: Property) -> bool:
    return item.text.startswith("in ") and item.text.split()[-1] in GARMENTS


def _add_size(
    rng: np.random.Generator, draft: Draft, target: SceneObject, rivals: list[SceneObject]
) -> tuple[Draft, list[SceneObject]]:
    words = size_words(target, rivals)
    if not words or not draft.noun:
        return draft, rivals
    return replace(draft, size=chosen(rng, words)), [target]


def _add_position(
    rng: np.random.Generator, draft: Draft, target: SceneObject, rivals: list[SceneObject], scene: Scene
) -> tuple[Draft, list[SceneObject]]:
    height, width = scene.image_HW3.shape[:2]
    options = positions(target, rivals, size=(width, height))
    if draft.properties:  # "second guy from left in red" could count all guys or only those in red
        options = [(before, after) for before, after in options if before not in ORDINALS]
    if not options:
        return draft, []
    return replace(draft, position=chosen(rng, options)), [target]


def _add_relation(
    rng: np.random.Generator, draft: Draft, target: SceneObject, rivals: list[SceneObject], scene: Scene, *, sided: bool
) -> tuple[Draft, list[SceneObject]]:
    anchors = [thing for thing in scene.objects if thing is not target]
    for place in rng.permutation(len(anchors)):
        anchor = anchors[int(place)]
        name = anchor_name(scene, anchor, noun=chosen(rng, nouns(anchor)))
        options = relations(target, anchor, rivals, sided=sided) if name else []
        if options:
            return replace(draft, relation=chosen(rng, options), anchor=name), [target]
    return draft, []
