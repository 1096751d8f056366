"""The command line. Nothing heavy is imported before a command needs it: a help text or a wrong option answers at once.

What a command does stands in the module of its name below `pipelines.commands`.
"""

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipelines.choices import Engine, Format, Purpose, Style
from pipelines.clear_errors import clear_errors
from pipelines.commands.terminal import console, leave, say
from pipelines.comparing_commands import comparing
from pipelines.listing_commands import Settings, Suite, listings, require_one
from pipelines.measuring_commands import measuring
from pipelines.model_commands import models
from pipelines.reviewing_commands import reviewing
from pipelines.sharing_commands import sharing
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
        with clear_errors():
            home()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            leave(str(stop) or "stopped")


app = typer.Typer(
    cls=_Commands,
    help="Images and referring expressions in, masks and trained referring-segmentation models out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(comparing)
app.add_typer(listings)
app.add_typer(measuring)
app.add_typer(reviewing)
app.add_typer(sharing)
app.add_typer(models, name="models")


Experiment = Annotated[str, typer.Option("--experiment", "-e", help="Experiment file to follow.")]
Until = Annotated[str | None, typer.Option(help="Stop after this stage, e.g. choice_scores.")]
Model = Annotated[
    str | None,
    typer.Option(help="Stage that trained it, e.g. zs_bootstrap; choice: S1 and S2. Default: a trained one, if any."),
]
Host = Annotated[
    str, typer.Option(help="Address to listen on; before it is another, see docs/serving.md and docs/deploying.md.")
]
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
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", help="Experiment file to follow.", show_default="base")
    ] = None,
    dataset: Dataset = "toyref",
    force: Annotated[bool, typer.Option(help="Compute again although equal artifacts exist.")] = False,
    until: Until = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that train together, one for each GPU.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that compute rows; 0: what fits a CPU.")] = 0,
    engine: Annotated[Engine, typer.Option(help="Where both run: here, or on the Ray cluster of RAY_ADDRESS.")] = (
        Engine.local
    ),
    train: Annotated[bool, typer.Option("--train", help="Train published networks on few expressions, too.")] = False,
    settings: Settings = [],  # noqa: B006  read only
    suite: Suite = None,
) -> None:
    """Run one experiment on one data set; what is up to date is only looked up."""
    require_one(suite, experiment, until)
    from pipelines.commands.wanted import wanted_runs

    with clear_errors():
        runs = wanted_runs(dataset, experiment or "base", until=until, settings=settings, suite=suite)
    failed = 0
    for number, (name, stage) in enumerate(runs, 1):
        if suite is not None:
            say(f"run {number} of {len(runs)}:", f"{name}, until {stage}", "bold")
        try:
            machine = {"processes": processes, "workers": workers, "engine": engine.value}
            _run(dataset, name, until=stage, train=train, force=force, **machine)
            console.print(f"done; see `wordmask {'status' if stage else 'report'} -d {dataset} -e {name}`")
        except typer.Exit:  # it said why; the rest of a suite does not wait for it
            failed += 1
    if failed:
        raise typer.Exit(1)


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="Images, with expressions.csv or expressions.jsonl among them.")],
    name: Annotated[str, typer.Option(help="What to call it.")],
    manifest: Annotated[str | None, typer.Option(help="Table of image and expression, if called otherwise.")] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment", "-e", help="Experiment file to follow; photo where its models are there, or base."
        ),
    ] = None,
) -> None:
    """Register your own folder as a data set for an experiment."""
    from pipelines.commands.add import add_folder

    with clear_errors():
        add_folder(name, folder, manifest=manifest, experiment=experiment)


@app.command("import-masks")
def import_masks(
    path: Annotated[
        Path | None, typer.Argument(help="What the teacher wrote: COCO's JSON, records, or a folder of PNG masks.")
    ] = None,
    dataset: Dataset = "toyref",
    purpose: Annotated[
        Purpose | None, typer.Option("--as", help="Any masks of an image, or one for every expression.")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call the teacher.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Say what was imported, for all data sets.")] = False,
    remove: Annotated[str, typer.Option(help="Delete the import of this name.")] = "",
) -> None:
    """Bring in the masks of a large model that ran elsewhere, as candidates (S1) or choices (S2) of a data set."""
    from pipelines.commands import import_masks as command

    with clear_errors():
        if show:
            console.print(command.imports_table(None))
        elif remove:
            console.print(command.remove(dataset, remove))
        elif path is None or purpose is None or not name:
            raise typer.BadParameter("give a file or folder, --as candidates or --as choices, and --name")
        else:
            console.print(command.import_masks(path, dataset, name, purpose.value))


@app.command()
def ui(
    port: int = 3000,
    host: Host = "127.0.0.1",
    database: Annotated[
        str | None, typer.Option(envvar="WORDMASK_DATABASE", help="Postgres, for a history that hosts share.")
    ] = None,
) -> None:
    """Open Dagster's pages and daemon on the loopback address, with a history that stays."""
    from pipelines.commands.ui import open_pages

    os.environ |= {"WORDMASK_DATABASE": database} if database else {}
    with clear_errors():
        open_pages(host, port)


@app.command()
def status(experiment: Experiment = "base", dataset: Dataset = "toyref") -> None:
    """Say which stages are ready, stale or missing, and with how many rows."""
    from pipelines.commands.status import status_table

    with clear_errors():
        console.print(status_table(dataset, experiment))


@app.command()
def report(
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Print the table of an experiment and say where its page lies."""
    if show:
        from pipelines.commands.report import open_page

        with clear_errors():
            open_page(dataset, experiment)
    _print_report(dataset, experiment)


@app.command()
def gallery(
    ctx: typer.Context,
    dataset: Dataset = "toyref",
    to: Annotated[Path | None, typer.Option(help="Folder to write into; default: gallery in the home.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Write a page with every expression of a data set and what all finished stages made of it."""
    from pipelines.commands.gallery import gallery

    with clear_errors(), for_others(ctx.obj) if to else nullcontext():
        console.print(gallery(dataset, to, show=show))


@app.command()
def export(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option(help="Folder to write into; every stage gets one below it.")],
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    stage: Annotated[list[str], typer.Option(help="Whose masks; default: of all that give any.")] = [],  # noqa: B006  read only
    format: Annotated[  # noqa: A002  the field's word
        Format, typer.Option(help="COCO's JSON, Parquet for Hugging Face's datasets, YOLO's polygons, Label Studio.")
    ] = Format.coco,
    images: Annotated[
        bool, typer.Option("--images", help="Put the images in, too: datasets, label-studio; yolo always does.")
    ] = False,
    png: Annotated[bool, typer.Option("--png", help="Draw every mask, too, and list them for `wordmask add`.")] = False,
    guard_formulas: Annotated[
        bool, typer.Option("--guard-formulas", help="An apostrophe before =, +, - and @ in the list, for spreadsheets.")
    ] = False,
) -> None:
    """Write the masks of finished stages as annotations of other tools, and as pictures."""
    from pipelines.commands.export import export

    with clear_errors(), for_others(ctx.obj):
        options = {"png": png, "with_images": images, "guard_formulas": guard_formulas}
        console.print(export(dataset, experiment, to, stages=stage, format=format.value, **options))


@app.command("export-onnx")
def export_onnx(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to, e.g. model.onnx; model.json gets words and preprocessing.")],
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    model: Annotated[str | None, typer.Option(help="Stage that trained it, e.g. zs_bootstrap.")] = None,
) -> None:
    """Write a trained model as an ONNX graph that computes the same to 0.001."""
    from pipelines.commands.export_onnx import export_onnx

    with clear_errors(), for_others(ctx.obj):
        console.print(export_onnx(dataset, experiment, file, model=model))


@app.command()
def segment(
    ctx: typer.Context,
    picture: Annotated[Path, typer.Argument(help="Any image; it need not belong to a data set.")],
    expressions: Annotated[list[str], typer.Argument(help="What to segment, an expression for each mask.")],
    to: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("masks"),
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    model: Model = None,
) -> None:
    """Segment what expressions say of an image, with the model that an experiment has trained, or by S1 and S2."""
    from pipelines.commands.segment import segment

    with clear_errors(), for_others(ctx.obj):
        console.print(segment(picture, expressions, to, dataset=dataset, experiment=experiment, model=model))


@app.command()
def serve(
    experiment: Experiment = "base",
    dataset: Dataset = "toyref",
    model: Model = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    megabytes: Annotated[float, typer.Option(min=0.001, help="Size of a request, at most.")] = 32,
    pixels: Annotated[int, typer.Option(min=1, help="Pixels of an image, at most.")] = 50_000_000,
    batch_ms: Annotated[float, typer.Option(min=0, max=1000, help="Collect requests for so many milliseconds.")] = 5,
) -> None:
    """Answer over HTTP: an image and sentences in, masks out, with a page to try it on."""
    from pipelines.commands.serve import serve

    with clear_errors():
        serve(
            dataset,
            experiment,
            model=model,
            host=host,
            port=port,
            megabytes=megabytes,
            pixels=pixels,
            batch_milliseconds=batch_ms,
        )


@app.command()
def results(
    out: Annotated[Path, typer.Option(help="Markdown file to write.")] = Path("RESULTS.md"),
    seeds: Annotated[int, typer.Option(min=1, help="How many worlds and trainings a row is averaged over.")] = 3,
    style: Annotated[list[Style], typer.Option(help="Styles of expressions.")] = [Style.toyref],  # noqa: B006  read only
    table: Annotated[
        list[str], typer.Option(help="1-5: S+S+C; 11-16: MERES; 21, 23-29: TRIS; ours, ours_choice.")
    ] = list("12345"),  # noqa: B006  read only
    figures: Annotated[Path, typer.Option(help="CSV of the figures by themselves.")] = Path("docs/results.csv"),
    share: Annotated[str, typer.Option(help="Which part of the runs is made here, such as 2/3.")] = "1/1",
    show: Annotated[bool, typer.Option(help="Run nothing; write what is finished.")] = False,
) -> None:
    """Run what the paper's tables need on the embedded worlds, seed by seed, and write them with means and spreads.

    Their sections of the file are written anew after every run, and what is finished is not run again. The figures by
    themselves stand in a CSV: carry it to another machine, and the page is filled there as well.
    """
    from pipelines.commands.results import share_of, write_results

    with clear_errors():
        styles, part = [one.value for one in style], share_of(share)
        failed = write_results(out, styles, range(seeds), table, figures=figures, share=part, show=show)
    console.print(f"wrote {out}")
    for command in failed:
        say("failed:", command, "red")
    raise typer.Exit(1 if failed else 0)


@app.command()
def doctor(thorough: Annotated[bool, typer.Option(help="Hash large files too.")] = False) -> None:
    """Say what is there, what is missing, and what to do about it."""
    from pipelines.commands.doctor import doctor_table

    table, healthy = doctor_table(thorough=thorough)
    console.print(table)
    raise typer.Exit(0 if healthy else 1)


def _run(
    dataset: str, experiment: str, *, until: str | None = None, train: bool = False, **runtime: bool | int | str
) -> None:
    from ops.refusal import Refused
    from pipelines.commands.launching import run_experiment

    with clear_errors():
        if not run_experiment(dataset, experiment, until=until, train=train, **runtime):
            raise Refused("the run did not finish; what was computed is kept, and the same command goes on from there")


def _print_report(dataset: str, experiment: str) -> None:
    from pipelines.commands.report import report_table

    with clear_errors():
        console.print(report_table(dataset, experiment))


if __name__ == "__main__":
    app()
