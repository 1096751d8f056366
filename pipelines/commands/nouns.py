"""Noun extraction measured on sentences whose class is known, as tables for the terminal."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape

from ops.ssc.nouns import Rule
from pipelines.commands.terminal import folding
from resources.models.loading import open_parser
from resources.models.spacy_parser import parse_all
from resources.noun_evaluation import evaluate_nouns


def noun_table(pairs: Path, *, synonyms: Path | None, rule: Rule, parser: str) -> RenderableType:
    """Shares of hits and the kinds of failures of noun extraction on sentences whose class is known.

    Raises:
        Refused: a file or a column is missing.
    """
    nlp = open_parser(parser)
    evaluation = evaluate_nouns(pairs, lambda texts: parse_all(nlp, texts), rule=rule, synonyms=synonyms)
    shares = folding(
        "data set", "hits", "sentences with a class word", "share", title=f"Noun rule {rule}, {evaluation.pairs} pairs"
    )
    rows = {**evaluation.datasets, "all": evaluation.overall, "all, one-word synonyms": evaluation.one_word}
    for name, share in rows.items():
        shares.add_row(name, str(share.hits), str(share.rows), f"{share.value:.3f}")
    misses = folding(
        "kind of miss", "count", "examples: sentence (class) -> nouns", title="Failures by kind", show_lines=True
    )
    for kind in evaluation.failures:
        lines = [
            f"{sentence} ({category}) -> {', '.join(nouns) or 'none'}" for sentence, category, nouns in kind.examples
        ]
        misses.add_row(kind.kind, str(kind.count), escape("\n".join(lines)))
    return Group(shares, misses)
