"""Noun extraction measured on expressions whose class is known, as tables for the terminal."""

from pathlib import Path

from rich.console import Group, RenderableType

from ops.evaluation.noun_hits import evaluate_nouns
from ops.ssc.nouns import Rule, noun_phrases
from pipelines.commands.terminal import coloured, folding
from pipelines.escaping import escaped
from resources.datasets.class_pairs import read_class_pairs
from resources.models.loading import open_parser
from resources.models.spacy_parser import parse_all


def noun_table(pairs: Path, *, synonyms: Path | None, rule: Rule, parser: str) -> RenderableType:
    """Shares of hits and the kinds of failures of noun extraction on expressions whose class is known.

    Raises:
        Refused: a file or a column is missing.
    """
    labelled, nlp = read_class_pairs(pairs, synonyms=synonyms), open_parser(parser)
    texts = [row.expression for row in labelled.expressions]
    nouns = noun_phrases(texts, lambda batch: parse_all(nlp, batch), rule=rule)
    evaluation = evaluate_nouns(labelled.expressions, nouns, labelled.synonyms)
    title = f"Noun rule {rule}, {evaluation.pairs} pairs"
    shares = folding("data set", "hits", "expressions with a class word", "share", title=title)
    rows = {**evaluation.datasets, "all": evaluation.overall, "all, one-word synonyms": evaluation.one_word}
    for name, share in rows.items():
        shares.add_row(name, str(share.hits), str(share.rows), f"{share.value:.3f}")
    misses = folding(
        "kind of miss", "count", "examples: expression (class) -> nouns", title="Failures by kind", show_lines=True
    )
    for kind in evaluation.failures:
        lines = [
            f"{escaped(text)} ({escaped(category)}) -> {escaped(', '.join(found)) or 'none'}"
            for text, category, found in kind.examples
        ]
        misses.add_row(kind.kind, str(kind.count), coloured("\n".join(lines)))
    return Group(shares, misses)
