"""What an expression says about places: a list of `Place`, read by the patterns of `ops.ssc.places.patterns`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ops.ssc.places.patterns import RULES, SILENT, compiled
from ops.ssc.places.phrases import PRONOUNS, ParseWords, Sentence, noun_of, phrase_at
from ops.ssc.places.words import words_of

RELATIONS = frozenset({"beside", "near", "behind", "before", "between"})
"""Kinds of place that are relative to another thing, the anchor."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One statement about where the referent is."""

    kind: str
    """Of `ops.ssc.places.patterns.RULES`."""
    direction: str = ""
    """left, right, top, bottom, front, back, middle, biggest, smallest, tallest, shortest, or the hour of a clock."""
    rank: int = 1
    """Of an ordinal or a row: 1 for the first from `direction`, -1 for the last."""
    anchor: str = ""
    """Head noun of the thing that a relation is to; empty if there is none."""
    anchor_places: tuple["Place", ...] = ()
    """Where that thing is, as in "next to the left car"."""
    negated: bool = False
    words: str = ""
    """As read."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All that a sentence says about places."""

    places: tuple[Place, ...]
    noun: str | None
    """What the sentence is about, where that is a noun of a known kind."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Words that state a place."""

    start: int
    end: int
    place: Place


NOTHING = Reading(places=(), noun=None)
MEANINGS = {
    "left": "left",
    "right": "right",
    "top": "top upper higher highest up above",
    "bottom": "bottom lower lowest low below under beneath underneath",
    "front": "front closest nearest closer nearer close near",
    "back": "back farthest farther far behind distance away off",
    "middle": "middle center",
    "biggest": "biggest bigger",
    "smallest": "smallest smaller tiniest littlest",
    "tallest": "tallest taller longest",
    "shortest": "shortest shorter",
}
DIRECTIONS = {word: direction for direction, words in MEANINGS.items() for word in words.split()}
NUMBERS = {
    word: rank
    for rank, word in enumerate(["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"], 1)
}
NUMBERS |= {word: rank for rank, word in enumerate(["one", "two", "three", "four", "five", "six"], 1)}
NUMBERS |= {str(number): number for number in range(1, 13)} | {"last": -1}
NOT = re.compile(
    r"(?:^| )(?:not|except|than)"
    r"(?: (?:the|a|on|in|at|to|one|ones|guy|person|man|really|quite|all|far|very|way|for|its|it|that|is))* $"
)
"""What stands before a place that is denied."""
FROM = re.compile(r"from (?:the |our )?(?:left|right|top|bottom|front|back)")
"""What a last one is counted from, rather than where it is."""
STRUCK = "_"


def read(sentence: Sentence) -> Reading:
    """All places of a sentence, in the order of its words."""
    spans = sorted(_spans(sentence.words), key=lambda span: span.start)
    relation = next((span.start for span in spans if span.place.kind in RELATIONS), None)
    return Reading(places=tuple(_with_anchors(sentence, spans)), noun=noun_of(sentence, relation))


def read_all(expressions: Sequence[str], parse: ParseWords | None = None) -> list[Reading]:
    """The places of every expression; equal ones are read once.

    Args:
        expressions: as people wrote them.
        parse: finds the noun phrases that relations are to; None: closed classes of words find them.
    """
    words_of_each = [words_of(expression) for expression in expressions]
    unique = list(dict.fromkeys(words for words in words_of_each if words))
    if parse is None:
        sentences = [Sentence(words=words) for words in unique]
    else:
        sentences = [Sentence.parsed(words, tokens) for words, tokens in zip(unique, parse(unique), strict=True)]
    readings = dict(zip(unique, map(read, sentences), strict=True))
    return [readings.get(words, NOTHING) for words in words_of_each]


def _spans(words: Sequence[str]) -> Iterator[Span]:
    left = list(words)
    for pattern in _silent():
        for start, end, _ in _matches(pattern, left):
            left[start:end] = [STRUCK] * (end - start)
    for kind, pattern in _rules():
        for start, end, match in _matches(pattern, left):
            denied = bool(NOT.search(" ".join([*left[:start], ""])))
            place = replace(_place(kind, match), negated=denied, words=" ".join(left[start:end]))
            left[start:end] = [STRUCK] * (end - start)
            yield Span(start=start, end=end, place=place)


@cache
def _silent() -> tuple[re.Pattern[str], ...]:
    return tuple(compiled(pattern) for pattern in SILENT)


@cache
def _rules() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((kind, compiled(pattern)) for kind, pattern in RULES)


def _matches(pattern: re.Pattern[str], words: Sequence[str]) -> list[tuple[int, int, re.Match[str]]]:
    """First word, word behind the last one and match."""
    text = " ".join(words)
    found = []
    for match in pattern.finditer(text):
        start = text.count(" ", 0, match.start())
        found.append((start, start + len(match[0].split()), match))
    return found


def _place(kind: str, match: re.Match[str]) -> Place:
    """The place that a match states, but for its anchor."""
    said = {name: value for name, value in match.groupdict().items() if value}
    to = said.get("to", "")
    if kind == "clock":
        return Place(kind=kind, direction=str(NUMBERS[to]))
    if kind == "row":
        base = said.get("base") or ("front" if to in NUMBERS else to)
        return Place(kind=kind, direction=DIRECTIONS[base], rank=NUMBERS.get(to, 1))
    rank = NUMBERS.get(said.get("rank", ""), 1)
    if rank < 0 and not FROM.search(match[0]):  # the last one on the right is the first from there
        rank = -rank
    return Place(kind=kind, direction=DIRECTIONS.get(to, ""), rank=rank, anchor=said.get("anchor", ""))


def _with_anchors(sentence: Sentence, spans: Sequence[Span]) -> Iterator[Place]:
    """Give every relation its anchor, and the places within an anchor's phrase to that anchor.

    A relation to a place ("near the top") is no relation: the place speaks for itself.
    """
    taken: set[int] = set()
    for number, span in enumerate(spans):
        if number in taken:
            continue
        if span.place.kind not in RELATIONS or span.place.anchor:
            yield span.place
            continue
        phrase = phrase_at(sentence, span.end)
        later = [other for other in range(number + 1, len(spans)) if phrase and spans[other].start < phrase.end]
        if phrase and phrase.head not in PRONOUNS and any(spans[other].end >= phrase.end for other in later):
            continue
        taken.update(later)
        places = tuple(spans[other].place for other in later)
        yield replace(span.place, anchor="" if phrase is None else phrase.head, anchor_places=places)
