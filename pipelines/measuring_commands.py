"""The commands that measure parts on files of their own: `wordmask cost`, `nouns` and `places`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.clear_errors import clear_errors
from pipelines.commands.terminal import console

measuring = typer.Typer()


class NounRule(StrEnum):
    """Choices of `--rule`."""

    spacy = "spacy"
    nltk = "nltk"
    chunk = "chunk"


class Size(StrEnum):
    """Choices of `--size`."""

    full = "full"
    embedded = "embedded"


@measuring.command()
def cost(
    size: Annotated[Size, typer.Option(help="Published networks, or those that ship with the project.")] = Size.full,
    repeats: Annotated[int, typer.Option(min=0, help="Passes to time; 0 only counts.")] = 5,
) -> None:
    """Count parameters and multiply-adds of TRIS, LAVT and MERES, and time them with random weights."""
    from pipelines.commands.costs import cost_table

    with clear_errors():
        console.print(cost_table(size, repeats=repeats))


@measuring.command()
def nouns(
    pairs: Annotated[Path, typer.Option(help="CSV of expression and true class.")],
    synonyms: Annotated[
        Path | None, typer.Option(help="Words of each class; default: coco_synonyms.txt beside the pairs.")
    ] = None,
    rule: Annotated[NounRule, typer.Option(help="How nouns are found.")] = NounRule.spacy,
    parser: Annotated[str, typer.Option(help="Parser: embedded or en_core_web_md.")] = "embedded",
) -> None:
    """Measure noun extraction on real expressions whose class is known, and show the failures by kind."""
    from pipelines.commands.nouns import noun_table

    with clear_errors():
        console.print(noun_table(pairs, synonyms=synonyms, rule=rule.value, parser=parser))


@measuring.command()
def places(
    refs: Annotated[Path, typer.Option(help="CSV of sentences, boxes and images, such as those of RefCOCO.")],
    parser: Annotated[str, typer.Option(help="Parser: embedded, en_core_web_md, or none.")] = "embedded",
    kind: Annotated[str | None, typer.Option(help="Show one kind of place in detail: ordinal, side ...")] = None,
    failures: Annotated[int, typer.Option(min=0, help="How many failures to list.")] = 0,
) -> None:
    """Measure what place words alone tell of real sentences and boxes, and show the failures by kind."""
    from pipelines.commands.places import place_tables

    with clear_errors():
        console.print(place_tables(refs, parser=parser, kind=kind, failures=failures))
