"""The command line. Nothing heavy is imported before a command needs it: a help text or a wrong option answers at once.

What a command does stands in the module of its name below `pipelines.commands`.
"""

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipelines.commands.terminal import complain, console, say
from resources.paths import home
from resources.processes import for_others, keep_private


class _Commands(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Where a command comes first, look at no option of the whole program: checking their types costs pydantic."""
        if not args or args[0].startswith("-"):
            return super().parse_args(ctx, args)
        ctx._protected_args, ctx.args = args[:1], args[1:]  # what is left to do after the options
        return args[1:]

    def invoke(self, ctx: Any) -> Any:
        """Nobody else reads what a command leaves in the home; `obj` is the person's own umask."""
        ctx.obj = keep_private()
        with _clear_errors():
            home()
        return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Images and referring expressions in, masks and trained referring-segmentation models out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class NounRule(StrEnum):
    """Choices of `--rule`."""

    spacy = "spacy"
    nltk = "nltk"
    chunk = "chunk"


class Size(StrEnum):
    """Choices of `--size`."""

    full = "full"
    embedded = "embedded"


Experiment = Annotated[str, typer.Option("--experiment", "-e", help="Experiment file to follow.")]
Until = Annotated[str | None, typer.Option(help="Stop after this stage, e.g. choice_scores.")]
Dataset = Annotated[str, typer.Option("--dataset", "-d", help="Data set to run on.")]


@app.command()
def demo() -> None:
    """Run the main job on the embedded world and print its table."""
    started = time.monotonic()
    _run("toyref", "base")
    _print_report("toyref", "base")
    console.print(f"\nTook {time.monotonic() - started:.0f} s. Everything is kept in {home()}.")
    console.print("Open the pages with `make ui` (or `wordmask ui`), then http://127.0.0.1:3000")


@app.command()
def run(
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    force: Annotated[bool, typer.Option(help="Compute again although equal artifacts exist.")] = False,
    until: Until = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that train together, one for each GPU.")] = 1,
) -> None:
    """Run one experiment on one data set; what is up to date is only looked up."""
    _run(dataset, experiment, until=until, force=force, processes=processes)
    console.print(f"done; see `wordmask {'status' if until else 'report'} -d {dataset} -e {experiment}`")


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="Images, with expressions.csv or expressions.jsonl among them.")],
    name: Annotated[str, typer.Option(help="What to call it.")],
    manifest: Annotated[str | None, typer.Option(help="Table of image and expression, if called otherwise.")] = None,
    experiment: Experiment = "base",
) -> None:
    """Register your own folder as a data set for an experiment."""
    from pipelines.commands.add import add_folder

    with _clear_errors():
        add_folder(name, folder, manifest=manifest, experiment=experiment)


@app.command()
def ui(port: int = 3000) -> None:
    """Open Dagster's pages and daemon on the loopback address, with a history that stays."""
    from pipelines.commands.ui import open_pages

    with _clear_errors():
        open_pages(port)


@app.command()
def status(experiment: Experiment = "base", dataset: Dataset = "toyref") -> None:
    """Say which stages are ready, stale or missing, and with how many rows."""
    from pipelines.commands.status import status_table

    with _clear_errors():
        console.print(status_table(dataset, experiment))


@app.command()
def report(
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    compare: Annotated[
        bool, typer.Option(help="Every experiment on the data set side by side, with differences.")
    ] = False,
) -> None:
    """Print the table of an experiment and say where its page lies."""
    if not compare:
        _print_report(dataset, experiment)
        return
    from pipelines.commands.report import comparison

    with _clear_errors():
        console.print(comparison(dataset, baseline=experiment))


@app.command()
def export(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option(help="Folder to write into; every stage gets one below it.")],
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    stage: Annotated[list[str], typer.Option(help="Whose masks; default: of all that give any.")] = [],  # noqa: B006  read only
    png: Annotated[bool, typer.Option("--png", help="Draw every mask, too, and list them for `wordmask add`.")] = False,
    guard_formulas: Annotated[
        bool, typer.Option("--guard-formulas", help="An apostrophe before =, +, - and @ in the list, for spreadsheets.")
    ] = False,
) -> None:
    """Write the masks of finished stages as COCO annotations, and as pictures."""
    from pipelines.commands.export import export

    with _clear_errors(), for_others(ctx.obj):
        console.print(export(dataset, experiment, to, stages=stage, png=png, guard_formulas=guard_formulas))


@app.command()
def segment(
    ctx: typer.Context,
    picture: Annotated[Path, typer.Argument(help="Any image; it need not belong to a data set.")],
    expressions: Annotated[list[str], typer.Argument(help="What to segment, an expression for each mask.")],
    to: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("masks"),
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    model: Annotated[str | None, typer.Option(help="Stage that trained it, e.g. zs_bootstrap.")] = None,
) -> None:
    """Segment what expressions say of an image, with the model that an experiment has trained."""
    from pipelines.commands.segment import segment

    with _clear_errors(), for_others(ctx.obj):
        console.print(segment(picture, expressions, to, dataset=dataset, experiment=experiment, model=model))


@app.command()
def results(
    out: Annotated[Path, typer.Option(help="Markdown file to write.")] = Path("RESULTS.md"),
    seeds: Annotated[int, typer.Option(min=1, help="How many worlds and trainings a row is averaged over.")] = 3,
    style: Annotated[list[str], typer.Option(help="Styles of expressions.")] = ["toyref"],  # noqa: B006  read only
    table: Annotated[list[int], typer.Option(help="1-5: S+S+C; 11-16: MERES; 21, 23-29: TRIS.")] = [1, 2, 3, 4, 5],  # noqa: B006  read only
    show: Annotated[bool, typer.Option(help="Run nothing; write what is finished.")] = False,
) -> None:
    """Run what the paper's tables need on the embedded worlds, seed by seed, and write them with means and spreads.

    Their sections of the file are written anew after every run, and what is finished is not run again.
    """
    from pipelines.commands.results import write_results

    with _clear_errors():
        failed = write_results(out, style, range(seeds), table, show=show)
    console.print(f"wrote {out}")
    for command in failed:
        say("failed:", command, "red")
    raise typer.Exit(1 if failed else 0)


@app.command()
def cost(
    size: Annotated[Size, typer.Option(help="Published networks, or those that ship with the project.")] = Size.full,
    repeats: Annotated[int, typer.Option(min=0, help="Passes to time; 0 only counts.")] = 5,
) -> None:
    """Count parameters and multiply-adds of TRIS, LAVT and MERES, and time them with random weights."""
    from pipelines.commands.costs import cost_table

    with _clear_errors():
        console.print(cost_table(size, repeats=repeats))


@app.command()
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

    with _clear_errors():
        console.print(noun_table(pairs, synonyms=synonyms, rule=rule.value, parser=parser))


models = typer.Typer(help="Pretrained models: what is there, fetch it, check it, take it away.", no_args_is_help=True)
app.add_typer(models, name="models")


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

    with _clear_errors():
        get_models(names, experiment=experiment, workers=at_once)


@models.command("verify")
def verify_models(
    names: Annotated[list[str], typer.Argument(help="Models that have to be there; none: all that are.")] = [],  # noqa: B006  read only
) -> None:
    """Hash every file and compare it with what is published."""
    from pipelines.commands.models import models_table

    with _clear_errors():
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

    with _clear_errors():
        console.print("\n".join(f"removed {path}" for path in remove_models(names)) or "nothing was there")


@app.command()
def doctor(thorough: Annotated[bool, typer.Option(help="Hash large files too.")] = False) -> None:
    """Say what is there, what is missing, and what to do about it."""
    from pipelines.commands.doctor import doctor_table

    table, healthy = doctor_table(thorough=thorough)
    console.print(table)
    raise typer.Exit(0 if healthy else 1)


def _run(dataset: str, experiment: str, *, until: str | None = None, **runtime: bool | int) -> None:
    from ops.refusal import Refused
    from pipelines.commands.run import run_experiment

    with _clear_errors():
        if not run_experiment(dataset, experiment, until=until, **runtime):
            raise Refused("the run did not finish; what was computed is kept, and the same command goes on from there")


def _print_report(dataset: str, experiment: str) -> None:
    from pipelines.commands.report import report_table

    with _clear_errors():
        console.print(report_table(dataset, experiment))


class _clear_errors:  # noqa: N801  a context manager reads as a verb
    """Turn errors that speak to the user into one red line and exit code 1; a bug keeps its traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from ops.refusal import Refused
        from storage.files import StoreError

        if isinstance(error, (Refused, FileNotFoundError, StoreError)):  # any other ValueError is a bug
            complain(str(error))
            raise typer.Exit(1) from error
        if reason := _refused_by_the_disk(error):
            advice = f"Is {home()} writable, and is there room? Free some, or set WORDMASK_HOME to another folder"
            complain(f"{reason}. {advice}.")
            raise typer.Exit(1) from error


def _refused_by_the_disk(error: BaseException | None) -> object:
    """What the operating system said, also where Dagster's database wrapped it; None for any other error."""
    if isinstance(error, OSError):
        return error
    sqlalchemy = sys.modules.get("sqlalchemy.exc")  # imported by Dagster, or by nothing
    return error.orig if sqlalchemy and isinstance(error, sqlalchemy.OperationalError) else None
