"""The commands about results that several machines share, and about what may go: `wordmask push`, `pull` and `gc`."""

from typing import Annotated

import typer

from pipelines.clear_errors import clear_errors

sharing = typer.Typer()

Dataset = Annotated[str | None, typer.Option("--dataset", "-d", help="Only of this data set; default: of all.")]
Experiment = Annotated[
    str | None, typer.Option("--experiment", "-e", help="Only what this experiment uses; default: everything.")
]


@sharing.command()
def push(
    dataset: Dataset = None,
    experiment: Experiment = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put these results in the place of others that were there first.")
    ] = False,
) -> None:
    """Send finished results to the shared store; see docs/shared_store.md. What is there already costs a look."""
    from pipelines.commands.push import push

    with clear_errors():
        failed = push(dataset, experiment, replacing=replace)
    raise typer.Exit(1 if failed else 0)


@sharing.command()
def pull(dataset: Dataset = None, experiment: Experiment = None) -> None:
    """Bring from the shared store what others finished of the experiments that are asked for here."""
    from pipelines.commands.pull import pull

    with clear_errors():
        refused = pull(dataset, experiment)
    raise typer.Exit(1 if refused else 0)


@sharing.command()
def gc(
    remote: Annotated[bool, typer.Option("--remote", help="In the shared store instead of this home's.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is otherwise only listed.")] = False,
    days: Annotated[
        float | None,
        typer.Option(min=0, help="What is younger stays; default: 1, in the shared store 30.", show_default=False),
    ] = None,
) -> None:
    """List results that no experiment's key means any more, older ones included, and what was left unfinished."""
    from pipelines.commands.gc import collect_garbage

    with clear_errors():
        collect_garbage(remote=remote, delete=delete, days=days)
