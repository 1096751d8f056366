"""How many objects an expression asks for, by its dependency parse, and the candidates that it then means.

Beyond the papers, which know one object an expression. Shapes: N candidates.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Literal

from ops.ssc.nouns import KEY_LABELS, Parse, Token

Said = int | Literal["all"]
"""How many objects: 1, a number that is said, or all of them."""

PLURAL_TAGS = frozenset({"NNS", "NNPS"})
NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
BOTH = "both"
ALL = frozenset({"all", "every", "each"})
ONE_THING = frozenset(
    [
        "binoculars",
        "clothes",
        "glasses",
        "goggles",
        "headphones",
        "jeans",
        "pants",
        "pliers",
        "scissors",
        "shorts",
        "skis",
        "sunglasses",
        "tongs",
        "trousers",
        "tweezers",
    ]
)
"""Plurals that people say of one object."""
INVARIANT = frozenset(["aircraft", "deer", "fish", "moose", "sheep"])
"""Nouns whose plural looks like their singular: without a number they mean one."""


def numbers_said(expressions: Sequence[str], parse: Parse) -> list[Said]:
    """How many objects each expression asks for.

    The head is the root or the subject of the parse (of "the " and the expression, as the noun rule has it). It asks
    for the number that stands before it ("two", "3", "both"), or that it is itself ("both", "two on the left", "all of
    the cups"); for all where "all", "every" or "each" does, or where it is a plural noun without any number; for one
    otherwise. Plurals of one thing ("scissors") and nouns of one form ("sheep") need a number to be several.

    Args:
        expressions: any text.
        parse: the parser of the noun rule.
    """
    texts = [text if text.split()[:1] == ["the"] else f"the {text}" for text in map(str.casefold, expressions)]
    return [_said(list(tokens)) for tokens in parse(texts)] if texts else []


def agreed(said: Sequence[Said]) -> Said:
    """What the expressions of one referent ask for together: one, unless most of them ask for more.

    Of those, the number that is said most often counts, the first of equals, and all where none says any.
    """
    several = [number for number in said if number != 1]
    if 2 * len(several) <= len(said):
        return 1
    counts = Counter(number for number in several if number != "all")
    return counts.most_common(1)[0][0] if counts else "all"


def several_best(scores_N: Sequence[float], best: int, said: Said, *, margin: float) -> list[int]:
    """Indices of the candidates that are meant, in their order.

    Args:
        scores_N: 100 * cosine of each; NaN for those without a score, which are not taken.
        best: the one that is chosen in any case.
        said: see `numbers_said`. A number takes so many of the best scores (the first of equals), or as many as there
            are; "all" takes those whose score is at most `margin` below that of `best`.
        margin: in the scores' unit.
    """
    others = [index for index, score in enumerate(scores_N) if index != best and isfinite(score)]
    if said == "all":
        taken = [index for index in others if scores_N[index] >= scores_N[best] - margin]
    else:
        taken = sorted(others, key=lambda index: -scores_N[index])[: said - 1]
    return sorted([best, *taken])


def _said(tokens: Sequence[Token]) -> Said:
    head = _head(tokens)
    if head is None:
        return 1
    words = [head.text, *(token.text for token in head.lefts)]
    for word in words:
        if (number := _number(word)) is not None:
            return number
    if ALL & set(words):
        return "all"
    plural = head.tag_ in PLURAL_TAGS and head.text not in ONE_THING | INVARIANT
    return "all" if plural else 1


def _head(tokens: Iterable[Token]) -> Token | None:
    """The first root or subject that is a noun, or stands for one."""
    keys = (token for token in tokens if token.dep_.casefold() in KEY_LABELS)
    return next((token for token in keys if token.pos_ in ("NOUN", "PROPN", "NUM") or token.text in {BOTH, *ALL}), None)


def _number(word: str) -> int | None:
    """A number word or numeral from one to a hundred."""
    if word == BOTH:
        return 2
    if word.isascii() and word.isdigit() and 1 <= int(word[:4]) <= 100:
        return int(word)
    return 1 if word == "one" else NUMBERS.get(word)
