"""The commands that measure: `wordmask cost`, `times`, `nouns`, `places`, `worlds` and `tensorboard`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.choices import Framing, NounRule, Size, WorldSize
from pipelines.clear_errors import clear_errors
from pipelines.commands.terminal import console

measuring = typer.Typer()


@measuring.command()
def cost(
    size: Annotated[
        Size, typer.Option(help="Published networks, LAVT's student, or those that ship with the project.")
    ] = Size.full,
    repeats: Annotated[int, typer.Option(min=0, help="Passes to time; 0 only counts.")] = 5,
) -> None:
    """Count parameters and multiply-adds of TRIS, LAVT and MERES, and time them with random weights."""
    from pipelines.commands.costs import cost_table

    with clear_errors():
        console.print(cost_table(size, repeats=repeats))


@measuring.command()
def times(
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Data set whose finished runs are read.")] = "toyref",
) -> None:
    """Tell what finished runs took: seconds a sample, masks an image, trainings; nothing is run."""
    from pipelines.commands.times import times_table

    with clear_errors():
        console.print(times_table(dataset))


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


@measuring.command()
def worlds(
    describe: Annotated[
        list[str], typer.Option(help="A style of rendered worlds, a data set, or a folder in RefCOCO's layout.")
    ],
    beside: Annotated[list[str], typer.Option(help="Further ones, to compare with.")] = [],  # noqa: B006  read only
    size: Annotated[WorldSize, typer.Option(help="Of what is rendered for a style.")] = WorldSize.small,
    framing: Annotated[Framing, typer.Option(help="How large objects are in it.")] = Framing.close,
    seed: Annotated[int, typer.Option(min=0, help="Of its scenes.")] = 0,
) -> None:
    """Describe data sets in figures: areas, referents, sentences, place words, and how alike siblings are."""
    from assets.data.source import ToyWorld
    from pipelines.commands.worlds import worlds_table

    with clear_errors():
        world = ToyWorld.model_validate({"size": size.value, "framing": framing.value, "seed": seed})
        console.print(worlds_table([*describe, *beside], world))


@measuring.command()
def tensorboard(port: Annotated[int, typer.Option(min=1, max=65535)] = 6006) -> None:
    """Show the curves of all trainings, those that go on included, in TensorBoard."""
    from pipelines.commands.tensorboard import open_tensorboard

    with clear_errors():
        open_tensorboard(port)
