"""The command that sets experiments side by side: `wordmask compare`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.clear_errors import clear_errors
from pipelines.commands.terminal import console
from resources.processes import for_others

comparing = typer.Typer()


@comparing.command()
def compare(
    ctx: typer.Context,
    experiments: Annotated[
        list[str] | None,
        typer.Argument(help="The baseline first. One: with all others that have masks; none: all that have."),
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Data set that all were run on.")] = "toyref",
    to: Annotated[
        list[Path],
        typer.Option(help="Write the table, too, as .csv, .md or .tex; or a folder for the page. Several times."),
    ] = [],  # noqa: B006  read only
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Compare experiments on a data set: measures, differences with intervals, knobs, and the masks that differ."""
    from contextlib import nullcontext

    from pipelines.commands.compare import compare

    with clear_errors(), for_others(ctx.obj) if to else nullcontext():
        console.print(compare(dataset, experiments or [], to, show=show))
