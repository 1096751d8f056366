"""The papers' tables on the embedded worlds: which experiments they need, and their figures over seeds as Markdown.

A world is a style of expressions and a seed; other seeds have other scenes and other trainings. The worlds beside
`toyref`, and the ablations, are registered when a table is first asked for, so that a fresh graph stays small.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from assets.data.source import ToyWorld
from assets.evaluation.published import markdown_of, published_in
from assets.framework.stage import StageInstance
from ops.refusal import Refused
from pipelines.commands.report import classes_of, summary_of
from pipelines.commands.result_cells import Figures, ResultCells
from pipelines.commands.terminal import say
from pipelines.config.dataset_files import DatasetFile, ask_for, write_once
from pipelines.config.paper_tables import PaperTable, Row, tables_called
from pipelines.graph.load import in_use, leading_to, load_plan
from pipelines.graph.state import states_of
from resources.opening import read_file
from resources.store import open_store
from storage.artifact import Store

Style = str
Plan = Sequence[StageInstance]
Cells = Mapping[str, tuple[float, ...]]
"""Split -> measures."""
Share = tuple[int, int]
"""Which part of how many, counted from 1."""
WHOLE: Share = (1, 1)

NOT_COMPARABLE = "Of photographs, by models of full size: no number compares with those above."

HEAD = """# Results

Small embedded models on rendered worlds; every seed has scenes (train and test) and trainings of its own. Cells hold
the measures that the head of a table names, per expression at the image's own size, in percent: mean ± standard
deviation over the seeds, or over as many of them as a cell says. A dash: not run yet. Empty predictions count 0 and
their ground truth enters the union. `train` is its first 1,000 referents. No number compares with a paper's, since
scenes are rendered and models small. Above every table stands the command that writes it.

"""


def write_results(
    out: Path,
    styles: Sequence[Style],
    seeds: Sequence[int],
    names: Sequence[str],
    *,
    figures: Path | None = None,
    share: Share = WHOLE,
    show: bool = False,
) -> list[str]:
    """Run what the tables of these numbers or names read, and write their sections of a file anew after every run.

    Args:
        out: Markdown file; its other sections stay.
        styles: of expressions.
        seeds: numbers of worlds, and of trainings on them.
        names: numbers of tables, or their own names.
        figures: CSV of the figures by themselves; None: beside `out`.
        share: which part of the runs this machine makes.
        show: run nothing; write what is finished.

    Returns:
        The runs that failed, as people would launch them.

    Raises:
        Refused: one means no table, with those that there are; or the file holds something else.
    """
    tables = tables_called(names)
    register(styles, seeds, tables)
    instances = load_plan()

    earlier = _written(out)
    if earlier.strip() and not earlier.startswith(HEAD.splitlines()[0] + "\n"):
        raise Refused(f"{out} is no page of results and would be lost; name another file with --out")

    figures = figures or out.with_suffix(".csv")

    def write() -> None:
        known = ResultCells.read(figures)
        out.write_text(markdown(styles, seeds, tables, _written(out), instances=instances, known=known))
        known.write()

    failed = []
    if not show:
        failed = run_rows(instances, styles, seeds, tables, write, share=share, known=ResultCells.read(figures))
    write()
    return failed


def _written(out: Path) -> str:
    """What the page holds so far; what is no text is no page of ours."""
    return read_file(out).decode(errors="replace") if os.path.lexists(out) else ""


def share_of(text: str) -> Share:
    """Read a share such as `2/3`.

    Raises:
        Refused: it is none.
    """
    found = re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", text)
    if found is None or int(found[1]) > int(found[2]):
        raise Refused(f"--share {text!r} is no part of a whole; say the second of three as 2/3")
    return int(found[1]), int(found[2])


def world(style: Style, seed: int) -> str:
    """The name of a world as a data set."""
    name = style.replace("+", "plus")
    return name if (style, seed) == ("toyref", 0) else f"{name}_seed{seed}"


def register(styles: Iterable[Style], seeds: Iterable[int], tables: Sequence[PaperTable]) -> None:
    """Describe the worlds of these styles and seeds, and ask for all experiments of the tables on them."""
    experiments = sorted({row.experiment for table in tables for row in table.rows})
    for style in styles:
        for seed in seeds:
            name = world(style, seed)
            if name != "toyref":
                toy = ToyWorld.model_validate({"style": style, "seed": seed})
                comment = "An embedded world of the tables; written by wordmask results."
                write_once(name, DatasetFile(kind="toyref", toy=toy), comment)
            ask_for(name, experiments)


def runs_of(tables: Sequence[PaperTable]) -> list[tuple[str, str]]:
    """The (experiment, stage) pairs that the tables read, without repeats."""
    return list(dict.fromkeys(run for table in tables for run in table.runs))


def cheapest_first(instances: Plan, dataset: str, tables: Sequence[PaperTable]) -> list[tuple[str, str]]:
    """The (experiment, stage) pairs that the tables read, those first that need few trainings, and then few stages."""

    def cost(run: tuple[str, str]) -> tuple[int, int]:
        needed = leading_to(run[1], in_use(instances, dataset, run[0]))
        return sum(one.stage.trains for one in needed), len(needed)

    return sorted(runs_of(tables), key=cost)


def run_rows(
    instances: Plan,
    styles: Sequence[Style],
    seeds: Sequence[int],
    tables: Sequence[PaperTable],
    after: Callable[[], object],
    *,
    share: Share = WHOLE,
    known: ResultCells | None = None,
) -> list[str]:
    """Run what the tables read and is not finished, world by world and the cheapest first; a failure stops no other.

    Args:
        instances: the plan, with the tables registered.
        styles: of expressions.
        seeds: numbers of worlds, and of trainings on them.
        tables: of papers.
        after: called when a run is over.
        share: which part of the runs; what lies side by side shares most of its stages.
        known: figures of runs that are finished elsewhere, which are not run again.

    Returns:
        The runs that failed, as people would launch them.
    """
    from pipelines.commands.run import run_planned  # brings Dagster, which tables that are only shown do without

    store = open_store()
    worlds = [world(style, seed) for seed in seeds for style in styles]
    wanted = [(name, *run) for name in worlds for run in cheapest_first(instances, name, tables)]
    part, parts = share
    failed = []
    wanted = wanted[len(wanted) * (part - 1) // parts : len(wanted) * part // parts]
    for number, (dataset, experiment, stage) in enumerate(wanted, 1):
        used = leading_to(stage, in_use(instances, dataset, experiment))
        if _is_finished(used, store) or (known and _is_known(used[-1], experiment, tables, known)):
            continue
        say(f"run {number} of {len(wanted)}:", f"{experiment} on {dataset}, until {stage}", "bold")
        if not run_planned(in_use(instances, dataset, experiment), dataset, experiment, until=stage):
            failed.append(f"wordmask run -d {dataset} -e {experiment} --until {stage}")
        after()
    return failed


def markdown(
    styles: Sequence[Style],
    seeds: Sequence[int],
    tables: Sequence[PaperTable],
    earlier: str = "",
    *,
    instances: Plan | None = None,
    known: ResultCells | None = None,
) -> str:
    """The tables over finished runs; a row that some seed has not finished says how many have.

    Args:
        styles: of expressions.
        seeds: numbers of worlds, and of trainings on them.
        tables: registered before.
        earlier: what an earlier call made; its other tables stay, and so do those that have no finished row here.
        instances: the plan; None: it is loaded.
        known: figures of runs that may be finished elsewhere; those that are read here are added.

    Returns:
        A page with a section for each style and table.
    """
    instances = load_plan() if instances is None else instances
    known = known or ResultCells(path=Path("results.csv"))
    sections = dict(re.findall(r"(?ms)^## ([^:\n]+)(.*?)(?=^## |\Z)", earlier))
    for style in styles:
        worlds = [world(style, seed) for seed in seeds]
        for table in (one.scoring(ToyWorld.model_validate({"style": style}).scored) for one in tables):
            section, title = f"{style}, Table {table.number}", f": {table.title}"
            cells = [[cells_of(instances, name, row, table.measures, known) for name in worlds] for row in table.rows]
            if any(map(any, cells)):
                command = (
                    f"`wordmask results --seeds {len(seeds)} --style {style} --table {table.name or table.number}`"
                )
                note = [table.note, ""] if table.note else []
                lines = [title, "", command, "", *_grid(table, cells), "", *note, *_printed(table)]
                sections[section] = "\n".join([*lines, ""])
            else:
                sections.setdefault(section, f"{title}\n\nNo row of it is finished.\n\n")
    page = "\n\n".join(f"## {section}{sections[section]}".rstrip("\n") for section in sorted(sections, key=_place))
    return HEAD + page + "\n"


def _place(section: str) -> tuple[Style, int]:
    """Style and number of a section's table, after the summary; what else people wrote themselves comes last."""
    parts = re.fullmatch(r"(\S+), Table (\d+)", section)
    return (parts[1], int(parts[2])) if parts else ("" if section == "Summary" else "~", 0)


def _grid(table: PaperTable, cells: Sequence[Sequence[Cells]]) -> list[str]:
    """A table's lines, given the cells of every row and seed."""
    head = f"| masks: {' / '.join(table.measures)} | "
    lines = [head + " | ".join(table.splits) + " |", "|---|" + "---|" * len(table.splits)]
    for row, seeds in zip(table.rows, cells, strict=True):
        columns = [_mean_and_spread([seed.get(split) for seed in seeds]) for split in table.splits]
        lines.append(f"| {row.label} | " + " | ".join(columns) + " |")
    return lines


def _printed(table: PaperTable) -> list[str]:
    """What the paper prints in its table, folded away."""
    if table.published is None:
        return []
    paper, tables = table.published.paper, table.published.tables
    rows = markdown_of(published_in(paper, tables))
    summary = f"<summary>{paper}, {', '.join(tables)}, as printed</summary>"
    return [f"<details>{summary}", "", NOT_COMPARABLE, "", *rows, "</details>", ""]


def cells_of(instances: Plan, dataset: str, row: Row, measures: Sequence[str], known: ResultCells) -> Figures:
    """The measures of a row, per expression at the image's own size; empty where its run is not finished.

    Where the store has none, they are those that are `known`.
    """
    store = open_store()
    used = leading_to(row.stage, in_use(instances, dataset, row.experiment))
    if not used:
        return {}
    if not _is_finished(used, store):
        return known.of(used[-1], row, measures)
    artifact = store.resolve(used[-1].key)
    part, summary = row.method, summary_of({row.stage: artifact}, measures)
    if row.classes:
        part, summary = row.classes, classes_of(artifact, measures)
    figures = {split: cell for (split, name), cell in summary.items() if name == part}
    known.note(used[-1], row, measures, figures)
    return figures


def _is_known(last: StageInstance, experiment: str, tables: Sequence[PaperTable], known: ResultCells) -> bool:
    """Whether every figure that the tables read from a run is known, the run's last stage being planned as it was."""
    read = [(row, table.measures) for table in tables for row in table.rows]
    run = experiment, last.stage.name
    return all(known.of(last, row, measures) for row, measures in read if (row.experiment, row.stage) == run)


def _is_finished(used: Plan, store: Store) -> bool:
    """Whether what the last of a run's stages makes is up to date."""
    return states_of(used, store)[used[-1].key].state == "ready"


def _mean_and_spread(cells: Sequence[Sequence[float] | None]) -> str:
    """Mean and spread of every measure over the finished seeds, and how many they are if some are missing."""
    finished = [cell for cell in cells if cell is not None]
    if not finished:
        return "-"
    count = f" ({len(finished)} of {len(cells)})" if len(finished) < len(cells) else ""
    return " / ".join(_in_percent([100 * value for value in values]) for values in zip(*finished, strict=True)) + count


def _in_percent(values: Sequence[float]) -> str:
    """A measure that the masks do not have is not a number."""
    if np.isnan(values).all():
        return "-"
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")
