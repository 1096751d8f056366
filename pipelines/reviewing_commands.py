"""The command by which a person chooses among candidate masks: `wordmask review`."""

from typing import Annotated

import typer

from pipelines.clear_errors import clear_errors

reviewing = typer.Typer()


@reviewing.command()
def review(
    experiment: Annotated[
        str, typer.Option("--experiment", "-e", help="Experiment whose candidates and choices are shown.")
    ] = "base",
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Data set that is reviewed.")] = "toyref",
    who: Annotated[
        str | None, typer.Option("--as", help="Name that decisions are signed with.", show_default="the login's name")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 3100,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Choose masks by a key, in a page on this machine alone; see docs/reviewing.md for what becomes of it."""
    with clear_errors():
        from pipelines.commands.review import review

        review(dataset, experiment, who=who, port=port, show=show)
