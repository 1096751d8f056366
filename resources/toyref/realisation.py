"""Surface realisation: predicates put into words, in each style, and every word that can come out.

Belongs here: grammar and spelling. Which predicates an expression needs is decided in `expressions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from resources.toyref.attributes import attribute_words
from resources.toyref.predicates import ORDINALS, RELATIONS, SIZE_WORDS, SYNONYMS, PredicateKind, Property, Slot
from resources.toyref.renderers.canvas import PALETTE

_T = TypeVar("_T")
Style = Literal["toyref", "toyref+", "toyrefg"]
STYLES: tuple[Style, ...] = ("toyref", "toyref+", "toyrefg")

TYPO_RATE = 0.02
"""Share of expressions with one misspelt word."""
POSITION_WORDS: tuple[str, ...] = (
    "left",
    "right",
    "leftmost",
    "rightmost",
    "top",
    "bottom",
    "middle",
    "center",
    "upper",
    "lower",
)
"""Words of absolute position; "toyref+" has none of them."""
TYPOS: dict[str, str] = {
    "left": "lft",
    "right": "rigth",
    "middle": "midle",
    "yellow": "yelow",
    "purple": "purpel",
    "orange": "ornage",
    "black": "balck",
    "white": "whtie",
    "blue": "bleu",
    "green": "gren",
    "striped": "stripped",
    "shirt": "shrit",
    "umbrella": "umbrela",
    "bottle": "botle",
    "banana": "bannana",
    "bicycle": "bycicle",
    "chair": "chiar",
    "woman": "womam",
    "person": "peson",
    "clock": "colck",
    "behind": "behnd",
    "small": "smal",
    "standing": "standng",
    "second": "secound",
}
DIRECTIONS: dict[str, str] = {
    **{word: word for word in ("left", "right", "top", "bottom", "middle", *ORDINALS)},
    "leftmost": "left",
    "rightmost": "right",
    "upper": "top",
    "lower": "bottom",
    "center": "middle",
}
"""Word of position -> what it means; other words of a position mean nothing more."""
ALIKE: dict[str, str] = {
    **dict.fromkeys(("next to", "beside", "close to"), "near"),
    "partly hidden by": "behind",
    "to the left of": "left of",
    "to the right of": "right of",
}
"""Relation -> another wording of it."""
UNCOUNTED = (*PALETTE, "pants", "stripes", "dots", "spots", "luggage", "up")
"""Last words of phrases that take no article."""
LINKS: dict[str, tuple[str, ...]] = {
    "person": ("standing", "who is standing", "who is", ""),
    "car": ("parked", "that is parked", "that is", ""),
    "bus": ("parked", "that is parked", ""),
    "bicycle": ("parked", "standing", "that is"),
    "chair": ("standing", "that is", ""),
    "boat": ("sailing", "that is", ""),
}
"""Verbs before a relation; classes without an entry take "that is", "which is" or none."""
FUNCTION_PHRASES = ("a an the and in on at from far with wearing who which that is",)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Predicates chosen for one expression."""

    noun: str
    """Empty where a garment stands for its wearer ("red shirt")."""
    properties: tuple[Property, ...] = ()
    size: str = ""
    position: tuple[str, str] = ("", "")
    """Words of position before and after the noun."""
    relation: str = ""
    anchor: str = ""

    @property
    def kinds(self) -> frozenset[PredicateKind]:
        """The kinds of predicates in the expression."""
        kinds: set[PredicateKind] = {item.kind for item in self.properties}
        kinds |= {"size"} if self.size else set()
        kinds |= {"position"} if any(self.position) else set()
        kinds |= {"relation"} if self.relation else set()
        return frozenset(kinds or {"class"})

    @property
    def plan(self) -> str:
        """What the expression is built around, see `expressions.PREDICATE_SHARES`."""
        built = (("relation", self.relation), ("position", any(self.position)), ("size", self.size))
        return next((name for name, holds in built if holds), "property")

    @property
    def cue(self) -> frozenset[str]:
        """What tells the referent apart, however it is worded: "guy on left" and "leftmost man" have one cue."""
        where = {DIRECTIONS[word] for text in self.position for word in text.split() if word in DIRECTIONS}
        beside = {ALIKE.get(self.relation, self.relation), *(name_of(self.anchor) if self.anchor else ())}
        return frozenset(
            {item.feature for item in self.properties} | {"size" if self.size else ""} | where | beside
        ) - {""}

    @property
    def key(self) -> frozenset[str]:
        """What two expressions for one referent should not share entirely."""
        parts = {item.feature for item in self.properties} | {self.relation, self.anchor, "size" if self.size else ""}
        return frozenset(parts | {word for text in self.position for word in text.split()} - {""})


def name_of(words: str) -> tuple[str, ...]:
    """The class that a name such as "brown puppy" or "man in red" speaks of; nothing where it names none."""
    spoken = words.split()
    return tuple(name for name, nouns in SYNONYMS.items() if any(noun.split()[-1] in spoken for noun in nouns))[:1]


def realise(draft: Draft, *, style: Style, rng: np.random.Generator) -> str:
    """Put the predicates into lower-case words."""
    return _sentence(draft, rng) if style == "toyrefg" else _terse(draft, rng)


def _slots(draft: Draft) -> dict[Slot, list[str]]:
    slots: dict[Slot, list[str]] = {"size": [draft.size], "colour": [], "pattern": [], "state": [], "after": []}
    for item in draft.properties:
        slots[item.slot].append(item.text)
    slots["after"].sort(key=lambda text: (not text.startswith("in "), text.startswith("raising")))
    return slots


def _terse(draft: Draft, rng: np.random.Generator) -> str:
    slots, (before, after) = _slots(draft), draft.position
    late = rng.random() < 0.5
    ordinal = before in ORDINALS
    head = [before, *slots["size"], *slots["colour"], *slots["pattern"], *([] if late else slots["state"])]
    if draft.noun:
        tail = [draft.noun, after if ordinal else "", *(slots["state"] if late else []), _joined(slots["after"])]
    else:
        tail = [text.removeprefix("in ") for text in slots["after"]] + [after if ordinal else ""]
    ending = "" if ordinal else after
    relation = f"{draft.relation} {'the ' if rng.random() < 0.5 else ''}{draft.anchor}" if draft.relation else ""
    words = " ".join(filter(None, [*head, *tail, ending, relation]))
    return f"the {words}" if draft.noun and rng.random() < 0.12 else words


def _joined(after: list[str]) -> str:
    """Two phrases that open with the same word share it: "with hat and bag"."""
    if len(after) == 2 and after[0].split()[0] == after[1].split()[0]:
        return f"{after[0]} and {after[1].split(maxsplit=1)[1]}"
    return " ".join(after)


def _sentence(draft: Draft, rng: np.random.Generator) -> str:
    slots = _slots(draft)
    moved = bool(draft.relation and slots["state"])
    adjectives = [*slots["size"], *slots["colour"], *slots["pattern"], *([] if moved else slots["state"])]
    core = " ".join(filter(None, [*adjectives, draft.noun]))
    definite = draft.size.endswith("est") or rng.random() < 0.5
    words = [f"the {core}" if definite else f"{_article(core)} {core}", *_apparel(slots["after"], rng)]
    if draft.relation:
        words += [*slots["state"], _link(draft, rng) if not moved else "", draft.relation, _anchored(draft.anchor, rng)]
    return " ".join(filter(None, words))


def _apparel(after: list[str], rng: np.random.Generator) -> list[str]:
    """What follows the noun, with articles: "wearing a red shirt and blue pants", "with a bag"."""
    opened = {
        opener: [text.removeprefix(opener) for text in after if text.startswith(opener)] for opener in ("in ", "with ")
    }
    worn, shown = (" and ".join(_with_article(thing) for thing in things) for things in opened.values())
    verb = chosen(rng, ("in", "wearing", "who is wearing"))
    rest = [text for text in after if not text.startswith(tuple(opened))]
    return [f"{verb} {worn}" if worn else "", f"with {shown}" if shown else "", *rest]


def _with_article(thing: str) -> str:
    return thing if thing.split()[-1] in UNCOUNTED else f"{_article(thing)} {thing}"


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def _link(draft: Draft, rng: np.random.Generator) -> str:
    category = next(name for name, words in SYNONYMS.items() if draft.noun in words)
    return chosen(rng, LINKS.get(category, ("", "that is", "which is")))


def _anchored(anchor: str, rng: np.random.Generator) -> str:
    return f"the {anchor}" if rng.random() < 0.6 else f"{_article(anchor)} {anchor}"


def misspell(text: str, rng: np.random.Generator) -> str:
    """The text, in two of a hundred cases with one word misspelt."""
    words = text.split()
    places = [place for place, word in enumerate(words) if word in TYPOS]
    if not places or rng.random() >= TYPO_RATE:
        return text
    place = chosen(rng, places)
    return " ".join([*words[:place], TYPOS[words[place]], *words[place + 1 :]])


def vocabulary() -> tuple[str, ...]:
    """Every lower-case word that any expression can contain, synonyms and misspellings included, sorted."""
    phrases = [*FUNCTION_PHRASES, *POSITION_WORDS, *ORDINALS, *TYPOS.values(), *SIZE_WORDS, "raising hands"]
    phrases += [word for words in SYNONYMS.values() for word in words]
    phrases += [relation.text for relation in RELATIONS]
    phrases += [link for links in LINKS.values() for link in links]
    return tuple(sorted({word for text in phrases for word in text.split()} | attribute_words()))


def chosen(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    """A uniform choice."""
    return options[int(rng.integers(len(options)))]
