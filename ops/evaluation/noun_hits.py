"""Noun hit rate: how often noun extraction names the object that an expression is about, where its class is known.

An expression counts when it contains a word for its class, a synonym: a run of whole words, one or more, letter case
and punctuation ignored. It is a hit when an extracted noun phrase names such a synonym. Two strictnesses: the head of
the phrase must name it (`head`, for the nouns themselves), or it may stand anywhere in the phrase (`phrase`, for what
is projected to a class). Which words name a class is the caller's data.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Match = Literal["head", "phrase"]
Words = tuple[str, ...]

WORD = re.compile(r"[a-z0-9]+")
EXAMPLES = 6


@dataclass(frozen=True, kw_only=True)
class LabelledExpression:
    """An expression whose referent's class is known."""

    dataset: str
    expression: str
    category: str


@dataclass(frozen=True, kw_only=True)
class Share:
    """Hits among the expressions that count."""

    hits: int
    rows: int

    @property
    def value(self) -> float:
        """Hits per expression; NaN without any."""
        return self.hits / self.rows if self.rows else float("nan")


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Misses of one kind."""

    kind: str
    count: int
    examples: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(expression, true class, extracted nouns), at most `EXAMPLES`."""


@dataclass(frozen=True, kw_only=True)
class NounEvaluation:
    """Result of `evaluate_nouns`."""

    pairs: int
    """Expressions given, those without a synonym included."""
    overall: Share
    one_word: Share
    """The expressions that contain a synonym of one word, hits by such synonyms only."""
    datasets: Mapping[str, Share]
    failures: tuple[Failures, ...]
    """Most frequent kind first."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    label: LabelledExpression
    nouns: tuple[Words, ...]
    present: tuple[Words, ...]
    """Synonyms of the class that the expression contains."""

    def hit(self, *, by: Sequence[Words] | None = None) -> bool:
        synonyms = self.present if by is None else by
        return any(names(noun, synonym) for noun in self.nouns for synonym in synonyms)


def words(text: str) -> Words:
    """The words of a text in lower case, without punctuation."""
    return tuple(WORD.findall(text.lower()))


def contains(text: Words, phrase: Words) -> bool:
    """Whether the phrase is a run of whole words of the text."""
    return any(text[i : i + len(phrase)] == phrase for i in range(len(text) - len(phrase) + 1))


def names(noun: Words, synonym: Words, *, match: Match = "head") -> bool:
    """Whether an extracted noun phrase names a synonym.

    By its head: the phrase ends with the synonym's words, or it is the last word, the head, of a longer synonym
    ("hydrant" for "fire hydrant"). With `phrase` the synonym's words may also stand before or inside the others.
    """
    if not noun:
        return False
    return noun[-len(synonym) :] == synonym or noun == synonym[-1:] or (match == "phrase" and contains(noun, synonym))


def noun_hit(
    expression: str, nouns: Iterable[str], class_words: Iterable[str], *, match: Match = "head"
) -> bool | None:
    """Whether a noun of an expression names its class; None where the expression has no word for it.

    Args:
        expression: as it is read, of any letter case.
        nouns: what was extracted from it.
        class_words: the class and its synonyms, each one word or several.
        match: see `names`.
    """
    present = _present(expression, map(words, class_words))
    if not present:
        return None
    return any(names(words(noun), synonym, match=match) for noun in nouns for synonym in present)


def evaluate_nouns(
    expressions: Sequence[LabelledExpression],
    nouns: Sequence[Sequence[str]],
    synonyms: Mapping[str, Sequence[str]],
) -> NounEvaluation:
    """Count hits by the head of the extracted nouns, over all, per data set, and sort the misses.

    Args:
        expressions: with their classes.
        nouns: extracted from each of them.
        synonyms: class -> its words, itself included; expressions of other classes do not count.
    """
    synonyms_of = {category: tuple(dict.fromkeys(map(words, names))) for category, names in synonyms.items()}
    rows = [
        _Row(
            label=label,
            nouns=tuple(map(words, extracted)),
            present=_present(label.expression, synonyms_of.get(label.category, ())),
        )
        for label, extracted in zip(expressions, nouns, strict=True)
    ]
    counted = [row for row in rows if row.present]
    single = [(row, [synonym for synonym in row.present if len(synonym) == 1]) for row in counted]
    hits = [row.hit(by=one_word) for row, one_word in single if one_word]
    return NounEvaluation(
        pairs=len(rows),
        overall=_share(counted),
        one_word=Share(hits=sum(hits), rows=len(hits)),
        datasets={
            name: _share([row for row in counted if row.label.dataset == name])
            for name in sorted({row.label.dataset for row in counted})
        },
        failures=_failures(row for row in counted if not row.hit()),
    )


def failure_kind(expression: Words, synonyms: Sequence[Words], nouns: Sequence[Words]) -> str:
    """Name a miss by where the first extracted noun stands to the first synonym in the expression."""
    heads = [noun[-1] for noun in nouns if noun and noun[-1] in expression]
    if not heads:
        return "no noun extracted"
    place = expression.index(heads[0])
    start, end = min(
        (i, i + len(synonym))
        for synonym in synonyms
        for i in range(len(expression))
        if expression[i : i + len(synonym)] == synonym
    )
    if place == end:
        return "compound: the synonym modifies the noun behind it"
    if place >= end:
        return "a later noun: the synonym was read as no head"
    if "of" in expression[place:start]:
        return "measure or part: noun of synonym"
    return "an earlier noun: the synonym stands in its modifier"


def _present(expression: str, synonyms: Iterable[Words]) -> tuple[Words, ...]:
    text = words(expression)
    return tuple(synonym for synonym in synonyms if synonym and contains(text, synonym))


def _share(rows: Sequence[_Row]) -> Share:
    return Share(hits=sum(row.hit() for row in rows), rows=len(rows))


def _failures(misses: Iterable[_Row]) -> tuple[Failures, ...]:
    kinds: dict[str, list[_Row]] = {}
    for row in misses:
        kinds.setdefault(failure_kind(words(row.label.expression), row.present, row.nouns), []).append(row)
    return tuple(
        Failures(kind=kind, count=len(rows), examples=tuple(_example(row) for row in rows[:EXAMPLES]))
        for kind, rows in sorted(kinds.items(), key=lambda item: -len(item[1]))
    )


def _example(row: _Row) -> tuple[str, str, tuple[str, ...]]:
    return row.label.expression, row.label.category, tuple(map(" ".join, row.nouns))
