"""How often the noun rule finds the object that an expression is about, on expressions whose COCO class is known.

Behind `wordmask nouns --pairs`. A row counts when its sentence contains a synonym of the true class: a run of whole
words, one or more, letter case ignored. It is a hit when an extracted noun names such a synonym: the noun's words end
with the synonym's, or the noun is the last word (the head) of a longer synonym ("hydrant" for "fire hydrant").
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.ssc.nouns import Parse, Rule, noun_phrases

WORD = re.compile(r"[a-z0-9]+")
EXAMPLES = 6
COLUMNS = frozenset({"dataset", "sent", "category"})

Words = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Share:
    """Hits among the rows that count."""

    hits: int
    rows: int

    @property
    def value(self) -> float:
        """Hits per row; NaN without rows."""
        return self.hits / self.rows if self.rows else float("nan")


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Misses of one kind."""

    kind: str
    count: int
    examples: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(sentence, true class, extracted nouns), at most `EXAMPLES`."""


@dataclass(frozen=True, kw_only=True)
class NounEvaluation:
    """Result of `evaluate_nouns`."""

    rule: str
    pairs: int
    """Rows of the file, those without a synonym included."""
    overall: Share
    one_word: Share
    """The rows that contain a synonym of one word, hits by such synonyms only."""
    datasets: Mapping[str, Share]
    failures: tuple[Failures, ...]
    """Most frequent kind first."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    dataset: str
    sentence: str
    category: str
    nouns: tuple[Words, ...]
    present: tuple[Words, ...]
    """Synonyms of the category that the sentence contains."""

    @property
    def hit(self) -> bool:
        return any(names(noun, synonym) for noun in self.nouns for synonym in self.present)


def read_synonyms(path: Path) -> dict[str, tuple[Words, ...]]:
    """COCO class to the words of its synonyms; one class a line, comma separated, the class itself first."""
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {line[0].strip(): tuple(dict.fromkeys(words(part) for part in line if part.strip())) for line in lines}


def words(text: str) -> Words:
    """The words of a text in lower case, without punctuation."""
    return tuple(WORD.findall(text.lower()))


def contains(sentence: Words, phrase: Words) -> bool:
    """Whether the phrase is a run of whole words of the sentence."""
    return any(sentence[i : i + len(phrase)] == phrase for i in range(len(sentence) - len(phrase) + 1))


def names(noun: Words, synonym: Words) -> bool:
    """Whether an extracted noun names a synonym (see the module's docstring)."""
    return bool(noun) and (noun[-len(synonym) :] == synonym or noun == synonym[-1:])


def evaluate_nouns(
    pairs: Path,
    parse: Parse,
    *,
    rule: Rule = "spacy",
    synonyms: Path | None = None,
) -> NounEvaluation:
    """Extract nouns from every sentence of `pairs`, all in one batch, and compare with the true classes.

    Args:
        pairs: CSV with columns `dataset`, `sent` and `category`.
        parse: the parser, see `ops.ssc.nouns.noun_phrases`.
        rule: noun rule.
        synonyms: see `read_synonyms`; by default `coco_synonyms.txt` beside `pairs`.

    Raises:
        ValueError: a file, a column or a cell is missing.
    """
    table = synonyms or pairs.parent / "coco_synonyms.txt"
    for path in (pairs, table):
        if not path.is_file():
            raise ValueError(f"{path} is missing; --pairs takes a CSV that has coco_synonyms.txt beside it")
    known = read_synonyms(table)
    with pairs.open(encoding="utf-8-sig", newline="") as file:
        records = list(csv.DictReader(file))
    if lacking := COLUMNS - set(records[0] if records else ()):
        raise ValueError(f"{pairs} lacks rows or the columns {', '.join(sorted(lacking))}; see its README")
    short = [str(number) for number, record in enumerate(records, 1) if any(record[name] is None for name in COLUMNS)]
    if short:
        raise ValueError(f"{pairs} has too few cells in its rows {', '.join(short[:10])}, the header not counted")
    extracted = noun_phrases([record["sent"] for record in records], parse, rule=rule)
    rows = [
        _Row(
            dataset=record["dataset"],
            sentence=record["sent"],
            category=record["category"],
            nouns=tuple(words(noun) for noun in nouns),
            present=tuple(s for s in known.get(record["category"], ()) if contains(words(record["sent"]), s)),
        )
        for record, nouns in zip(records, extracted, strict=True)
    ]
    return _summary([row for row in rows if row.present], rule=rule, pairs=len(rows))


def _summary(rows: Sequence[_Row], *, rule: str, pairs: int) -> NounEvaluation:
    single = [row for row in rows if any(len(synonym) == 1 for synonym in row.present)]
    one_word = sum(
        any(names(noun, synonym) for noun in row.nouns for synonym in row.present if len(synonym) == 1)
        for row in single
    )
    return NounEvaluation(
        rule=rule,
        pairs=pairs,
        overall=_share(rows),
        one_word=Share(hits=one_word, rows=len(single)),
        datasets={
            name: _share([row for row in rows if row.dataset == name]) for name in sorted({row.dataset for row in rows})
        },
        failures=_failures(row for row in rows if not row.hit),
    )


def _share(rows: Sequence[_Row]) -> Share:
    return Share(hits=sum(row.hit for row in rows), rows=len(rows))


def _failures(misses: Iterable[_Row]) -> tuple[Failures, ...]:
    kinds: dict[str, list[_Row]] = {}
    for row in misses:
        kinds.setdefault(failure_kind(words(row.sentence), row.present, row.nouns), []).append(row)
    return tuple(
        Failures(
            kind=kind,
            count=len(rows),
            examples=tuple((row.sentence, row.category, tuple(map(" ".join, row.nouns))) for row in rows[:EXAMPLES]),
        )
        for kind, rows in sorted(kinds.items(), key=lambda item: -len(item[1]))
    )


def failure_kind(sentence: Words, synonyms: Sequence[Words], nouns: Sequence[Words]) -> str:
    """Name a miss by where the first extracted noun stands to the first synonym in the sentence."""
    heads = [noun[-1] for noun in nouns if noun and noun[-1] in sentence]
    if not heads:
        return "no noun extracted"
    place = sentence.index(heads[0])
    start, end = min(
        (i, i + len(synonym))
        for synonym in synonyms
        for i in range(len(sentence))
        if sentence[i : i + len(synonym)] == synonym
    )
    if place == end:
        return "compound: the synonym modifies the noun behind it"
    if place >= end:
        return "a later noun: the synonym was read as no head"
    if "of" in sentence[place:start]:
        return "measure or part: noun of synonym"
    return "an earlier noun: the synonym stands in its modifier"
