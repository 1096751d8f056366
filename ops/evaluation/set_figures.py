"""What a data set of referring expressions looks like in figures: rendered ones can stand beside real ones."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

FUNCTION_WORDS = """
a an the of in on at to by with and or is are was that which who whose has have having it its this there one ones other
from for as be being wearing holding standing
"""
"""Words that tell no referent from another."""
PERCENTILES = (10, 50, 90)
LAST = 4
"""Referents of an image up to which images are counted apart."""


@dataclass(frozen=True, kw_only=True)
class Referred:
    """One referent of a data set."""

    image: str
    size: tuple[int, int]
    """Width and height of its image in pixels."""
    area: float | None
    """Share of the image that its mask covers; None: it has none."""
    expressions: tuple[str, ...]


def set_figures(
    referents: Sequence[Referred], *, nouns: Mapping[str, Sequence[str]], has_place: Callable[[str], bool]
) -> dict[str, str]:
    """Name of a figure -> its value, in the order in which people read them.

    Args:
        referents: at least one.
        nouns: expression -> the nouns that name its referent, which are no cue.
        has_place: whether an expression holds a word of place.
    """
    texts = [text for one in referents for text in one.expressions]
    sides = np.array([one.size for one in {one.image: one for one in referents}.values()])
    areas = [one.area for one in referents if one.area is not None]
    return {
        "images": f"{len(sides)}",
        "width x height, median": " x ".join(f"{side:.0f}" for side in np.median(sides, axis=0)),
        "area of a referent, % of the image: p10 / median / p90": _spread([100 * area for area in areas], 1),
        "referents in an image": f"{len(referents) / len(sides):.2f}",
        "images with 1 / 2 / 3 / 4 / more referents, % (Figure 5 of S+S+C)": histogram(referents),
        "sentences of a referent": f"{len(texts) / len(referents):.2f}",
        "words of a sentence: p10 / median / p90": _spread([len(text.split()) for text in texts], 0),
        "sentences with a place word, %": f"{100 * np.mean([has_place(text) for text in texts]):.0f}",
        "pairs of one referent's sentences with the same cue, %": _percent(shared_cues(referents, nouns)),
    }


def histogram(referents: Sequence[Referred]) -> str:
    """Shares of images by how many referents they have, in percent; the last is of those with more than four."""
    counts = np.array([*Counter(one.image for one in referents).values()])
    shares = [*((counts == number).mean() for number in range(1, LAST + 1)), (counts > LAST).mean()]
    return " / ".join(f"{100 * share:.0f}" for share in shares)


def shared_cues(referents: Sequence[Referred], nouns: Mapping[str, Sequence[str]]) -> list[bool]:
    """For every two sentences of one referent, whether most words of the one with fewer cue words are in the other."""
    return [
        is_shared(cue_words(one, nouns.get(one, ())), cue_words(two, nouns.get(two, ())))
        for referent in referents
        for one, two in combinations(referent.expressions, 2)
    ]


def cue_words(text: str, nouns: Sequence[str]) -> frozenset[str]:
    """What a sentence says beyond naming its referent: its words but for function words and the nouns that name it."""
    named = {word for noun in nouns for word in noun.lower().split()}
    function = FUNCTION_WORDS.split()
    words = (word.strip(".,;:!?'\"()") for word in text.lower().split())
    return frozenset(word for word in words if word and word not in function and word not in named)


def is_shared(one: frozenset[str], two: frozenset[str]) -> bool:
    """Whether more than half of the fewer words are common; two sentences that only name the referent are alike."""
    fewer = min(len(one), len(two))
    return len(one & two) > fewer / 2 if fewer else one == two


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "-"
    return " / ".join(f"{value:.{digits}f}" for value in np.percentile(values, PERCENTILES))


def _percent(values: Sequence[bool]) -> str:
    return f"{100 * np.mean(values):.0f}" if values else "-"
