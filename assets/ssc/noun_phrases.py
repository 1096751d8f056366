"""The key noun of every expression."""

from collections.abc import Iterator, Sequence
from functools import partial

from assets.data.stages import REFERENCES
from assets.data.tables import EXPRESSIONS
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.ssc.knobs import NounKnobs
from assets.ssc.tables import NOUNS, NounRow
from ops.ssc.nouns import noun_phrases as extract
from resources.models.loading import open_parser
from resources.models.spacy_parser import parse_all
from storage.digest import digest
from storage.rows import Rows, Unit, fill_table

BATCH = 2000
"""Expressions that are parsed and committed together."""


def noun_phrases(work: Work) -> Outcome:
    """Nouns of each distinct expression; an expression may have none."""
    knobs = work.knobs_as(NounKnobs)
    parse = partial(parse_all, open_parser(knobs.parser))

    def rows(texts: Sequence[str]) -> Iterator[Rows]:
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            nouns = extract(batch, parse, rule=knobs.rule, compat=knobs.compat)
            for text, words in zip(batch, nouns, strict=True):
                yield [NOUNS.columns(NounRow(expression=text, nouns=words))]

    expressions = dict.fromkeys(row.expression for row in EXPRESSIONS.read(work.input(REFERENCES)))
    units = [Unit(key=digest(text), payload=text) for text in expressions]
    tally = fill_table(
        work.slot, NOUNS.name, units, rows, schema=NOUNS.schema, shard=BATCH, reuse=work.reuse, log=work.log
    )
    silent = sum(not row.nouns for row in NOUNS.read_slot(work.slot))
    return Outcome(tallies={"nouns": tally}, metrics={"sentences without a noun": silent})
