"""The key noun of every expression."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from assets.data.stages import REFERENCES
from assets.data.tables import EXPRESSIONS
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.ssc.knobs import NounKnobs
from assets.ssc.tables import NOUNS, NounRow
from ops.ssc.nouns import noun_phrases as extract
from resources.engines.engine import computed
from resources.engines.worker import Log
from resources.models.loading import open_parser
from resources.models.spacy_parser import parse_all
from resources.runtime import Runtime
from storage.digest import digest
from storage.rows import Rows, Unit, fill_table

BATCH = 2000
"""Expressions that are parsed and committed together."""

NounsIn = Callable[[Sequence[str]], list[list[str]]]
"""Expressions -> the nouns of each."""


def open_noun_rule(knobs: NounKnobs) -> NounsIn:
    """The noun rule with its parser."""
    parse = partial(parse_all, open_parser(knobs.parser))
    return lambda expressions: extract(expressions, parse, rule=knobs.rule, compat=knobs.compat)


def noun_phrases(work: Work) -> Outcome:
    """Nouns of each distinct expression; an expression may have none."""
    rows = partial(computed, NounWorker(work), together=BATCH, log=work.log)
    expressions = (row.expression for row in EXPRESSIONS.rows(work.input(REFERENCES)))
    units = [Unit(key=digest(text), payload=text) for text in dict.fromkeys(expressions)]
    tally = fill_table(
        work.slot, NOUNS.name, units, rows, schema=NOUNS.schema, shard=BATCH, reuse=work.reuse, log=work.log
    )
    silent = sum(not row.nouns for row in NOUNS.slot_rows(work.slot))
    return Outcome(tallies={"nouns": tally}, metrics={"sentences without a noun": silent})


@dataclass(frozen=True)
class NounWorker:
    """A `resources.engines.worker.Worker` on expressions."""

    work: Work

    @property
    def runtime(self) -> Runtime:
        """As `Worker.runtime`."""
        return self.work.runtime

    @property
    def gpu(self) -> bool:
        """The parser stays on the CPU."""
        return False

    @property
    def small(self) -> bool:
        """As `Worker.small`."""
        return self.work.has_small_models

    def open(self, _: Log) -> Callable[[Sequence[str]], Iterator[Rows]]:
        """As `Worker.open`."""
        nouns_in = open_noun_rule(self.work.knobs_as(NounKnobs))

        def rows(texts: Sequence[str]) -> Iterator[Rows]:
            for start in range(0, len(texts), BATCH):
                batch = texts[start : start + BATCH]
                for text, words in zip(batch, nouns_in(batch), strict=True):
                    yield [NOUNS.columns(NounRow(expression=text, nouns=words))]

        return rows
