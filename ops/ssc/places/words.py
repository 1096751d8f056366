"""The words of an expression as the grammar of places reads them: lower case, split, usual misspellings undone.

Words keep their number from here on: a parser reads these very words, and its heads are indices into them.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import islice

SPELLINGS = {
    "left": "lft lef leftt lefty lwft ledt lrft keft laft leftish leftest leftie lefthand",
    "right": "rt rgt rite righty roght rightish rightest righthand ritgh rhs",
    "top": "tp topp topmost uppermost",
    "bottom": "btm bot bott bottommost bttm",
    "middle": "mid midd middlemost mddle middlish",
    "center": "centre ctr cntr centered central centermost centerish",
    "front": "frnt frt fron foreground forefront fromt frontmost",
    "back": "bck rear bk backmost rearmost background backround bkgd backgroud",
    "upper": "uppr",
    "lower": "lowr",
    "corner": "crnr cnr",
    "first": "1st frist fisrt 1rst",
    "second": "2nd secon sec secound scond",
    "third": "3rd thrid thrd 3th",
    "fourth": "4th forth fouth",
    "fifth": "5th",
    "sixth": "6th",
    "seventh": "7th",
    "eighth": "8th",
    "closest": "closes closet closests",
    "farthest": "furthest furtherest futhest furthermost farest furtherst",
    "farther": "further",
    "behind": "behing behid bhind",
    "beside": "besides",
    "between": "inbetween btwn btw betwen",
    "biggest": "bigest largest",
    "bigger": "larger",
    "photo": "pic pics picture pictures photograph image img photos images",
    "screen": "scr",
    "not": "isnt isn't arent",
    "except": "excluding",
    "with": "w",
}
"""Word of the grammar -> how else it is written, or a word of the same place."""
SPLITS = {
    "leftmost": "left most",
    "rightmost": "right most",
    "ontop": "on top",
    "infront": "in front",
    "upfront": "in front",
    "nextto": "next to",
    "oclock": "o'clock",
    "leftside": "left side",
    "rightside": "right side",
    "alright": "all_right",
    "lowermost": "lower most",
}
"""Written as one word -> as several; other pairs of words of place are found by `_parted`."""
MISSPELT = [
    "left",
    "right",
    "bottom",
    "middle",
    "center",
    "front",
    "upper",
    "lower",
    "corner",
    "second",
    "third",
    "closest",
    "nearest",
    "farthest",
    "behind",
    "between",
]
"""Words that are known although one letter is missing, doubled or exchanged with the next one."""
LONGEST = 40
"""Characters of a word, on average, up to which a text is looked at."""
LONG = 6
"""Letters from which on one wrong letter is forgiven, too."""
ENGLISH = frozenset(
    [
        "fight",
        "light",
        "night",
        "bright",
        "tight",
        "sight",
        "might",
        "eight",
        "lift",
        "felt",
        "let",
        "font",
        "fronts",
        "frond",
        "lover",
        "power",
        "loser",
        "uppers",
        "corners",
        "centers",
        "seconds",
        "thirds",
        "lefts",
        "rights",
        "bottoms",
        "fronted",
        "lowered",
        "rigid",
        "suppers",
        "corned",
    ]
)
"""Words that are near to one of place, and mean something else."""
PAIRED = (
    "left",
    "right",
    "top",
    "bottom",
    "upper",
    "lower",
    "middle",
    "center",
    "front",
    "back",
    "far",
    "most",
    "side",
)
WORD = re.compile(r"\d+(?:st|nd|rd|th)\b|\d+(?::\d\d)?|[a-z]+(?:'[a-z]+)*|[,.;/&]")
"""A word, an ordinal such as "2nd", a number or time, or a sign that parts phrases."""


MAX_WORDS = 100
"""Of a longer text the beginning is read."""


def words_of(expression: str) -> tuple[str, ...]:
    """The words of an expression, as the grammar knows them.

    >>> words_of("Bottomright guy, 2nd from lft")
    ('bottom', 'right', 'guy', ',', 'second', 'from', 'left')
    """
    text = expression[: MAX_WORDS * LONGEST].lower().replace("\u2019", "'")
    text = re.sub(r"(?<=[a-z]) ?' ?s\b", "'s", re.sub(r"\bo[' ]? ?clock\b", "o'clock", text))
    return tuple(word for match in islice(_written(text), MAX_WORDS) for word in _known(match))


def _written(text: str) -> Iterator[str]:
    """Words and signs of lower-case text."""
    return (match[0] for match in WORD.finditer(text))


@lru_cache(maxsize=100_000)
def _known(word: str) -> tuple[str, ...]:
    table = _spellings()
    if word in SPLITS:
        return tuple(SPLITS[word].split())
    return (table[word],) if word in table else _parted(word) or (word,)


@cache
def _spellings() -> dict[str, str]:
    """Every known spelling -> the word of the grammar."""
    guessed = {wrong: word for word in MISSPELT for wrong in _slips(word) if wrong not in ENGLISH}
    listed = {wrong: word for word, others in SPELLINGS.items() for wrong in others.split()}
    return guessed | listed | {word: word for word in (*MISSPELT, *SPELLINGS, *PAIRED)}


def _slips(word: str) -> set[str]:
    """A word with one slip of the fingers, its first letter being right."""
    cuts = range(1, len(word))
    swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in cuts[:-1]}
    doubled = {word[:i] + word[i - 1] + word[i:] for i in (*cuts, len(word))}
    dropped = {word[:i] + word[i + 1 :] for i in cuts} if len(word) > 4 else set()
    letters = "abcdefghijklmnopqrstuvwxyz" if len(word) >= LONG else ""
    wrong = {word[:i] + letter + word[i + 1 :] for i in cuts for letter in letters}
    return swapped | doubled | dropped | wrong


def _parted(word: str) -> tuple[str, ...]:
    """Two words of place that were written as one."""
    table = _spellings()
    for i in range(3, len(word) - 2):
        first, second = word[:i], word[i:]
        if table.get(first) in PAIRED and (second in PAIRED or table.get(second) in PAIRED):
            return table[first], table.get(second, second)
    return ()
