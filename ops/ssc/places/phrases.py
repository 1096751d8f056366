"""Noun phrases of a sentence: by the heads of a dependency parse where there is one, by closed word classes otherwise.

Shapes: W words.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ops.ssc.places.nouns import kinds_of

BREAKS = frozenset(
    [
        "with",
        "in",
        "on",
        "at",
        "of",
        "to",
        "from",
        "by",
        "and",
        "or",
        "but",
        "who",
        "that",
        "which",
        "is",
        "are",
        "was",
        "has",
        "having",
        "wearing",
        "holding",
        "sitting",
        "standing",
        "looking",
        "facing",
        "behind",
        "beside",
        "near",
        "under",
        "above",
        "below",
        "over",
        "between",
        "against",
        "next",
        "not",
        "except",
        "than",
        "while",
        "touching",
        "leaning",
        "playing",
        "eating",
        "riding",
        "walking",
        ",",
        ".",
        ";",
        "/",
        "&",
        "_",
    ]
)
"""Where a noun phrase ends when nothing is parsed."""
DETERMINERS = frozenset(
    [
        "the",
        "a",
        "an",
        "his",
        "her",
        "its",
        "their",
        "this",
        "that",
        "these",
        "those",
        "some",
        "another",
        "other",
        "my",
        "our",
        "your",
    ]
)
PRONOUNS = frozenset(["one", "it", "that", "this", "he", "she", "they", "him", "her", "them", "thing", "guy"])


NOMINAL = frozenset({"NOUN", "PROPN", "PRON", "NUM"})
"""Universal parts of speech that may head a phrase: "the one", "two"."""


class Token(Protocol):
    """A token of a dependency parse: the attributes of spaCy's `Token` that are read."""

    @property
    def i(self) -> int:
        """Index in the text."""

    @property
    def pos_(self) -> str:
        """Universal part-of-speech tag."""

    @property
    def head(self) -> "Token":
        """What it depends on; a root is its own head."""


ParseWords = Callable[[Iterable[tuple[str, ...]]], Iterable[Iterable[Token]]]
"""Dependency parser: sentences as words to their tokens, one for each word, in the same order."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """The words of an expression, and what a parser says of them if there is one."""

    words: tuple[str, ...]
    heads: tuple[int, ...] | None = None
    """(W,) index of each word's head, its own for a root; None: not parsed. The labels' names do not matter."""
    nouns: tuple[bool, ...] | None = None
    """(W,) whether a word is a noun or a pronoun; None: not parsed."""

    @classmethod
    def parsed(cls, words: tuple[str, ...], tokens: Iterable[Token]) -> "Sentence":
        """Words with what a parser says of them."""
        parsed = list(tokens)
        assert len(parsed) == len(words)
        heads = tuple(token.head.i for token in parsed)
        return cls(words=words, heads=heads, nouns=tuple(token.pos_ in NOMINAL for token in parsed))


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """A noun phrase."""

    head: str
    start: int
    """Its first word."""
    end: int
    """The word behind its head."""


def phrase_at(sentence: Sentence, start: int) -> Phrase | None:
    """The noun phrase that begins with a word, as the one behind "next to" does; None if none does."""
    words = sentence.words
    if start >= len(words) or (words[start] in BREAKS and words[start] not in PRONOUNS):
        return None
    head = _head_by_parse(sentence, start)
    if head is None:
        head = _head_by_words(words, start)
    return None if head is None else Phrase(head=words[head], start=start, end=head + 1)


def _head_by_parse(sentence: Sentence, start: int) -> int | None:
    """Climb from the first word to the right; where that ends at no noun, the parse is of no use."""
    if sentence.heads is None or sentence.nouns is None:
        return None
    here = start
    while sentence.heads[here] > here and not _broken(sentence.words, here, sentence.heads[here]):
        here = sentence.heads[here]
    return here if sentence.nouns[here] else None


def _broken(words: Sequence[str], here: int, there: int) -> bool:
    return any(word in BREAKS for word in words[here + 1 : there + 1])


def _head_by_words(words: Sequence[str], start: int) -> int | None:
    """The last word before the phrase ends, or the first that names a known kind."""
    end = start
    while end < len(words) and (words[end] not in BREAKS or (end == start and words[end] in PRONOUNS)):
        if kinds_of(words[end]) and not (end + 1 < len(words) and kinds_of(words[end + 1])):
            return end
        end += 1
    last = end - 1
    return last if last >= start and words[last] not in DETERMINERS else None


def noun_of(sentence: Sentence, before: int | None = None) -> str | None:
    """The first noun of a known kind among the words before a relation: what the sentence is about.

    Of several in a row the last one counts: "bus driver" is about a driver. Kinds of two words are one noun.
    """
    words = sentence.words[:before]
    named = [noun_at(words, number) for number in range(len(words))]
    first = next((number for number, noun in enumerate(named) if noun), None)
    if first is None:
        return None
    while first + 1 < len(words) and named[first + 1] and not (named[first] or "").count(" "):
        first += 1
    return named[first]


def noun_at(words: Sequence[str], number: int) -> str | None:
    """The noun of a known kind that begins with a word, "hot dog" rather than "dog"."""
    pair = " ".join(words[number : number + 2])
    if " " in pair and kinds_of(pair):
        return pair
    return words[number] if kinds_of(words[number]) else None
