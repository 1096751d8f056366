"""The commands that say what there is: `wordmask experiments`, `datasets` and `knobs`; and what a run would do."""

from typing import Annotated

import typer

from pipelines.clear_errors import clear_errors
from pipelines.commands.terminal import console

listings = typer.Typer()
Settings = Annotated[
    list[str], typer.Option("--set", help="Turn a knob, which makes an experiment: mask_choices.sigma=0.04.")
]
Suite = Annotated[str | None, typer.Option(help="Instead of one, the experiments of a paper's table: ssc_table3.")]


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


@listings.command()
def plan(
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", help="Experiment file to follow.", show_default="base")
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Data set to run on.")] = "toyref",
    until: Annotated[str | None, typer.Option(help="Stop after this stage, e.g. choice_scores.")] = None,
    settings: Settings = [],  # noqa: B006  read only
    suite: Suite = None,
) -> None:
    """Say what a run would find, copy and compute, for how long and how many MB by past runs; nothing is run."""
    require_one(suite, experiment, until)
    from pipelines.commands.plan import plan_table

    with clear_errors():
        console.print(plan_table(dataset, experiment or "base", until=until, settings=settings, suite=suite))


def require_one(suite: str | None, experiment: str | None, until: str | None) -> None:
    """Refuse a suite beside an experiment, or a stage to end in."""
    if suite is not None and (experiment or until):
        raise typer.BadParameter("a suite says itself which experiments it runs, and until where")
