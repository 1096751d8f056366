"""The commands that say what there is: `wordmask experiments`, `datasets` and `knobs`."""

from typing import Annotated

import typer

from pipelines.clear_errors import clear_errors
from pipelines.commands.terminal import console

listings = typer.Typer()


@listings.command()
def experiments(
    word: Annotated[str, typer.Argument(help="Only those in whose name, words, knobs or data sets it stands.")] = "",
) -> None:
    """Every experiment with what it extends, how many knobs it turns, and where it is asked for."""
    from pipelines.commands.listings import experiments_table

    with clear_errors():
        console.print(experiments_table(word))


@listings.command()
def datasets() -> None:
    """Every data set with its kind, place, splits, and the experiments asked for on it."""
    from pipelines.commands.listings import datasets_table

    with clear_errors():
        console.print(datasets_table())


@listings.command()
def knobs(
    name: Annotated[
        str, typer.Argument(metavar="[STAGE]", help="A stage, or a knob of whatever stages; none: all stages.")
    ] = "",
) -> None:
    """What can be turned: type, default, meaning, and the experiments that turn it."""
    from pipelines.commands.listings import knobs_table

    with clear_errors():
        console.print(knobs_table(name))
