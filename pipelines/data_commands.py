"""Commands that look at data sets and run nothing on them."""

from enum import StrEnum
from typing import Annotated

import typer

from pipelines.clear_errors import clear_errors
from pipelines.commands.terminal import console


class WorldSize(StrEnum):
    """Choices of `worlds --size`."""

    tiny = "tiny"
    small = "small"
    base = "base"


class Framing(StrEnum):
    """Choices of `worlds --framing`."""

    wide = "wide"
    close = "close"


def worlds(
    describe: Annotated[
        list[str], typer.Option(help="A style of rendered worlds, a data set, or a folder in RefCOCO's layout.")
    ],
    beside: Annotated[list[str], typer.Option(help="Further ones, to compare with.")] = [],  # noqa: B006  read only
    size: Annotated[WorldSize, typer.Option(help="Of what is rendered for a style.")] = WorldSize.small,
    framing: Annotated[Framing, typer.Option(help="How large objects are in it.")] = Framing.wide,
    seed: Annotated[int, typer.Option(min=0, help="Of its scenes.")] = 0,
) -> None:
    """Describe data sets in figures: areas, referents, sentences, place words, and how alike siblings are."""
    from assets.data.source import ToyWorld
    from pipelines.commands.worlds import worlds_table

    with clear_errors():
        world = ToyWorld.model_validate({"size": size.value, "framing": framing.value, "seed": seed})
        console.print(worlds_table([*describe, *beside], world))
