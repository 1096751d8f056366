"""The commands below `wordmask models`."""

from typing import Annotated

import typer

from pipelines.clear_errors import clear_errors
from pipelines.commands.terminal import complain, console

models = typer.Typer(help="Pretrained models: what is there, fetch it, check it, take it away.", no_args_is_help=True)


@models.command("list")
def list_models() -> None:
    """Every known model with what it is for, its size, licence and state."""
    from pipelines.commands.models import models_table

    console.print(models_table()[0])


@models.command("get")
def get_models(
    names: Annotated[list[str], typer.Argument(help="Models as `wordmask models list` names them.")] = [],  # noqa: B006  read only
    experiment: Annotated[str | None, typer.Option("--for", help="All that this experiment loads.")] = None,
    at_once: Annotated[int, typer.Option(help="Files that come at once.", min=1, max=32)] = 4,
) -> None:
    """Fetch models into the checkpoint folder; a download that broke off goes on where it stopped.

    Beside the names of the list: a model of a hub as owner/name or owner/name@revision, a CLIP of open_clip as
    ARCHITECTURE:tag.
    """
    from pipelines.commands.models import get_models

    with clear_errors():
        get_models(names, experiment=experiment, workers=at_once)


@models.command("verify")
def verify_models(
    names: Annotated[list[str], typer.Argument(help="Models that have to be there; none: all that are.")] = [],  # noqa: B006  read only
) -> None:
    """Hash every file and compare it with what is published."""
    from pipelines.commands.models import models_table

    with clear_errors():
        table, broken = models_table(names, thorough=True)
    console.print(table)
    for advice in broken:
        complain(advice)
    raise typer.Exit(1 if broken else 0)


@models.command("remove")
def remove_models(
    names: Annotated[list[str], typer.Argument(help="Models as `wordmask models list` names them.")],
) -> None:
    """Delete models from the checkpoint folder."""
    from pipelines.commands.models import remove_models

    with clear_errors():
        console.print("\n".join(f"removed {path}" for path in remove_models(names)) or "nothing was there")
