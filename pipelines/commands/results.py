"""The papers' tables on the embedded worlds: which experiments they need, and their figures over seeds as Markdown.

A world is a style of sentences and a seed; other seeds have other scenes and other trainings. The worlds beside
`toyref`, and the ablations, are registered when a table is first asked for, so that a fresh graph stays small.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from assets.data.source import ToyWorld
from assets.framework.stage import StageInstance
from pipelines import tables_meres, tables_tris
from pipelines.commands.run import console, in_use, leading_to, run_experiment, state_of
from pipelines.commands.terminal_tables import classes_of, summary_of
from pipelines.config.dataset_files import DatasetFile, ask_for
from pipelines.config.yaml_files import write_file
from pipelines.rows import CHOSEN, PaperTable, Row
from resources.paths import home
from storage.artifact import Store

Style = str


def _choice(label: str, experiment: str = "base", method: str = "S+S") -> Row:
    return Row(label=label, experiment=experiment, stage="choice_scores", method=method)


def _corrected(label: str, experiment: str) -> Row:
    return Row(label=label, experiment=experiment, stage="corrected_scores", method="S+S+C")


HEAD = """# Results

Small embedded models on rendered worlds; every seed has scenes (train and test) and trainings of its own. Cells hold
the measures that the head of a table names, per expression at the image's own size, in percent: mean ± standard
deviation over the seeds, or over as many of them as a cell says. A dash: not run yet. Empty predictions count 0 and
their ground truth enters the union. `train` is its first 1,000 referents. No number compares with a paper's, since
scenes are rendered and models small. Above every table stands the command that writes it.

"""
_BOOTSTRAP = Row(label="ZSBootstrap", experiment="base", stage="scores", method="ZSBootstrap")
TABLES = (
    PaperTable(
        number=1,
        title="zero-shot, weakly supervised, fully supervised",
        rows=(
            _choice("random candidate", method="random"),
            Row(label="G-DINO + SAM", experiment="grounded_sam", stage="grounded_scores", method="G-DINO + SAM"),
            _choice("GL-CLIP (SAM's masks), each expression alone", "gl_clip", method="S+S by each expression"),
            _choice("SAM + Select", "sam_select"),
            _choice("S+S, each expression alone", method="S+S by each expression"),
            _choice("S+S"),
            _BOOTSTRAP,
            _corrected("S+S+C", "correct"),
            Row(label="LAVT on ground truth", experiment="correct", stage="supervised_scores", method="supervised"),
        ),
    ),
    PaperTable(
        number=2,
        title="candidate masks by noun extraction, class projection and segmenter, oracle choice",
        rows=(
            _choice("nltk, no projection", "nltk_unprojected", "oracle"),
            _choice("nltk, projection", "nltk_nouns", "oracle"),
            _choice("spaCy, no projection", "no_projection", "oracle"),
            _choice("spaCy, projection, SAM in the crop (stands in for FreeSOLO)", "crop_masks", "oracle"),
            _choice("spaCy, projection", method="oracle"),
        ),
        splits=CHOSEN,
    ),
    PaperTable(
        number=3,
        title="mask choice",
        rows=(
            _choice("random", method="random"),
            _choice("red ellipse", "red_ellipse"),
            _choice("GL-CLIP's choice", "gl_clip_detector"),
            _choice("reverse blur, smaller CLIP", "small_clip"),
            _choice("reverse blur"),
            _choice("oracle", method="oracle"),
        ),
        splits=CHOSEN,
    ),
    PaperTable(
        number=4,
        title="correction",
        rows=(
            _choice("S+S"),
            _choice("S+S, matching at stage 2", "matched_choice"),
            _BOOTSTRAP,
            _corrected("+ as many epochs on S2", "more_epochs"),
            _corrected("random matching", "random_matching"),
            _corrected("unconstrained greedy", "unconstrained"),
            _corrected("constrained greedy (S+S+C)", "correct"),
            _corrected("Hungarian", "hungarian"),
            _corrected("two sentences an object", "two_sentences"),
            _corrected("left-overs take their best", "fallback_best"),
        ),
    ),
    PaperTable(
        number=5,
        title="objects of an image that compete in correction (the paper's Figure 5)",
        rows=(
            _BOOTSTRAP,
            _corrected("1", "unconstrained"),
            _corrected("at most 2", "rivals_2"),
            _corrected("at most 3", "rivals_3"),
            _corrected("all", "correct"),
        ),
    ),
    *tables_meres.TABLES,
    *tables_tris.TABLES,
)


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
                write_file(home() / "datasets" / f"{name}.yaml", DatasetFile(kind="toyref", toy=toy), comment=comment)
            ask_for(name, experiments)


def runs_of(tables: Sequence[PaperTable]) -> list[tuple[str, str]]:
    """The (experiment, stage) pairs that the tables read, without repeats."""
    return list(dict.fromkeys((row.experiment, row.stage) for table in tables for row in table.rows))


def run_rows(
    styles: Sequence[Style], seeds: Sequence[int], tables: Sequence[PaperTable], after: Callable[[], object]
) -> list[str]:
    """Run what the tables read and is not finished, seed by seed; a run that fails does not keep the others waiting.

    Args:
        styles: of sentences.
        seeds: numbers of worlds, and of trainings on them.
        tables: registered before.
        after: called when a run is over.

    Returns:
        The runs that failed, as people would launch them.
    """
    from pipelines.definitions import load_plan

    instances, store = load_plan(), Store(home() / "store")
    wanted = [(world(style, seed), *pair) for seed in seeds for style in styles for pair in runs_of(tables)]
    failed = []
    for number, (dataset, experiment, stage) in enumerate(wanted, 1):
        if _finished(instances, store, dataset, experiment, stage):
            continue
        console.print(f"[bold]run {number} of {len(wanted)}[/bold]: {experiment} on {dataset}, until {stage}")
        if not run_experiment(dataset, experiment, until=stage):
            failed.append(f"wordmask run -d {dataset} -e {experiment} --until {stage}")
        after()
    return failed


def markdown(styles: Sequence[Style], seeds: Sequence[int], tables: Sequence[PaperTable], earlier: str = "") -> str:
    """The tables over finished runs; a row that some seed has not finished says how many have.

    Args:
        styles: of sentences.
        seeds: numbers of worlds, and of trainings on them.
        tables: registered before.
        earlier: what an earlier call made; its other tables stay, and so do those that have no finished row here.

    Returns:
        A page with a section for each style and table.
    """
    from pipelines.definitions import load_plan

    instances = load_plan()
    sections = dict(re.findall(r"(?ms)^## ([^:\n]+)(.*?)(?=^## |\Z)", earlier))
    for style in styles:
        worlds = [world(style, seed) for seed in seeds]
        for table in tables:
            name, title = f"{style}, Table {table.number}", f": {table.title}"
            found = [[cells_of(instances, one, row, table.measures) for one in worlds] for row in table.rows]
            if any(map(any, found)):
                command = f"`wordmask results --seeds {len(seeds)} --style {style} --table {table.number}`"
                sections[name] = "\n".join([title, "", command, "", *_grid(table, found), "", ""])
            else:
                sections.setdefault(name, f"{title}\n\nNo row of it is finished.\n\n")
    told = [f"## {name}{sections[name]}" for name in sorted(sections, key=_place)]
    return HEAD + "".join(told).rstrip("\n") + "\n"


def _place(name: str) -> tuple[Style, int]:
    """Style and number of a section's table, after the summary; what else people wrote themselves comes last."""
    found = re.fullmatch(r"(\S+), Table (\d+)", name)
    return (found[1], int(found[2])) if found else ("" if name == "Summary" else "~", 0)


def _grid(table: PaperTable, found: Sequence[Sequence[Mapping[str, tuple[float, ...]]]]) -> list[str]:
    """A table's lines, given the cells of every row and seed."""
    head = f"| masks: {' / '.join(table.measures)} | "
    lines = [head + " | ".join(table.splits) + " |", "|---|" + "---|" * len(table.splits)]
    for row, of_seeds in zip(table.rows, found, strict=True):
        columns = [_told([one.get(split) for one in of_seeds]) for split in table.splits]
        lines.append(f"| {row.label} | " + " | ".join(columns) + " |")
    return lines


def cells_of(
    instances: Sequence[StageInstance], dataset: str, row: Row, measures: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """Split -> the measures, per expression at the image's own size; empty where the run is not finished."""
    store = Store(home() / "store")
    instance = _finished(instances, store, dataset, row.experiment, row.stage)
    if instance is None:
        return {}
    artifact = store.resolve(instance.key)
    part, found = row.method, summary_of({row.stage: artifact}, measures)
    if row.classes:
        part, found = row.classes, classes_of(artifact, measures)
    return {split: cell for (split, of), cell in found.items() if of == part}


def _finished(
    instances: Sequence[StageInstance], store: Store, dataset: str, experiment: str, stage: str
) -> StageInstance | None:
    """A stage of an experiment on a data set, if what it makes is up to date."""
    instance = leading_to(stage, in_use(instances, dataset, experiment))[-1]
    return instance if state_of(instance, store) == "ready" else None


def _told(cells: Sequence[Sequence[float] | None]) -> str:
    """Mean and spread of every measure over the finished seeds, and how many they are if some are missing."""
    known = [cell for cell in cells if cell is not None]
    if not known:
        return "-"
    count = f" ({len(known)} of {len(cells)})" if len(known) < len(cells) else ""
    return " / ".join(_spread([100 * value for value in values]) for values in zip(*known, strict=True)) + count


def _spread(values: Sequence[float]) -> str:
    """A measure that the masks do not have is not a number."""
    if np.isnan(values).all():
        return "-"
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")
