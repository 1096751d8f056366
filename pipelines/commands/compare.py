"""Experiments on one data set side by side: tables in the terminal and in files, and a page with the masks."""

import webbrowser
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table

from assets.data.images import read_pixels
from assets.exports.given import masks_table
from assets.reports.comparison.curves import Curves
from assets.reports.comparison.exports import PAGES
from assets.reports.comparison.figures import FEWEST, Block, Figure, Measure, blocks_of
from assets.reports.comparison.knobs import KnobRow
from assets.reports.comparison.pairs import Pair, pairs_of
from assets.reports.comparison.reading import Planned, read_comparison
from assets.reports.comparison.tables import counted, delta_text, interval_text, shown, value_text
from assets.reports.comparison.writing import Measured, write_comparison
from assets.reports.gallery.reading import Finished
from assets.reports.gallery.writing import Written, write_links
from assets.reports.html import PAGE
from ops.refusal import Refused
from pipelines.commands.terminal import coloured, folding
from pipelines.graph.load import Plan, in_use, read_plan
from pipelines.graph.state import among, raw_data_problem, states_of
from pipelines.pages import Link, address, comparison_folder, comparison_links, gallery_address, gallery_folder
from resources.datasets import open_dataset
from resources.store import open_store
from storage.files import make_folder, write_bytes


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A comparison and its page."""

    measured: Measured
    written: Written


def compare(dataset: str, experiments: Sequence[str], to: Sequence[Path], *, show: bool = False) -> RenderableType:
    """Compare, write the page and what else is wanted, and show the tables.

    Args:
        dataset: its name.
        experiments: the baseline first; a single one is compared with all others, none: all with the first.
        to: files for the table, by their endings, and a folder for the page where it is not to lie in the home.
        show: open the page in a browser.

    Raises:
        Refused: a name or an ending is wrong, the raw data changed, or fewer than two experiments have masks.
        StoreError: the disk refuses, or an artifact is damaged.
    """
    files, folder = wanted(to)
    compared = compare_on(dataset, experiments, folder)
    for file in files:
        make_folder(file.parent)
        write_bytes(file, PAGES[file.suffix.lower()](compared.measured.blocks))
    if show:
        webbrowser.open(compared.written.page.resolve().as_uri())
    return Group(*_told(compared), *(f"wrote {file}" for file in files))


def wanted(to: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Files with the table, and the folder of the page.

    Raises:
        Refused: an ending says nothing, or there are two folders.
    """
    files = [path for path in to if path.suffix.lower() in PAGES and not path.is_dir()]
    folders = [path for path in to if path not in files]
    for path in folders:
        if path.suffix and not path.is_dir():
            raise Refused(f"{path} says not what to write; end it in {', '.join(PAGES)}, or name a folder for the page")
    if len(folders) > 1:
        raise Refused(f"the page goes into one folder, not {' and '.join(map(str, folders))}")
    return files, folders[0] if folders else None


def compare_on(dataset: str, experiments: Sequence[str], folder: Path | None = None) -> Compared:
    """Compare and write the page, below the home where no folder is given; arguments and errors as of `compare`."""
    plan = read_plan()
    plan.datasets.named(dataset)
    for name in experiments:
        plan.of(dataset, name)
    instances = [one for one in plan.instances if one.dataset == dataset]
    if problem := raw_data_problem(instances):
        raise Refused(f"{problem}Run `wordmask run -d {dataset}{f' -e {experiments[0]}' if experiments else ''}`")
    states = states_of(instances, open_store())
    finished = [(one, artifact) for one in instances for artifact in among(states, [one]).values()]
    planned = {name: in_use(instances, dataset, name) for name in _names(plan, dataset, experiments, finished)}
    comparison = read_comparison(planned, finished)
    measured = Measured(comparison=comparison, blocks=blocks_of(comparison), pairs=pairs_of(comparison))
    return Compared(measured=measured, written=_written(measured, planned, finished, folder))


def _names(plan: Plan, dataset: str, experiments: Sequence[str], finished: Finished) -> list[str]:
    """What is compared; a single experiment with all others that have masks.

    Raises:
        Refused: there is nothing to compare.
    """
    named = list(dict.fromkeys(experiments))
    if len(named) > 1:
        return named
    if len(experiments) > 1:
        raise Refused(f"{named[0]} is compared with another experiment, not with itself")
    known = dict.fromkeys(name for one, artifact in finished if masks_table(artifact) for name in one.used_by)
    names = list(dict.fromkeys([*named, *known]))
    if len(names) < 2:
        asked = ", ".join(plan.arrivals[dataset]) or "none"
        raise Refused(
            f"fewer than two experiments on {dataset} have masks; asked for were {asked}. "
            f"`wordmask run -d {dataset} -e EXPERIMENT` runs one"
        )
    return names


def _written(measured: Measured, planned: Planned, finished: Finished, folder: Path | None) -> Written:
    """The page, and in the data set's gallery a link to it."""
    dataset = measured.comparison.dataset
    where = comparison_folder(dataset) if folder is None else folder
    inside = where / "page"  # any folder of that depth
    source = next(iter(planned.values()))[0].source
    written = write_comparison(
        measured,
        where,
        partial(read_pixels, open_dataset(source.config)),
        links=list(_reports(planned, finished, inside)),
        gallery=gallery_address(dataset, inside),
        drawn=gallery_folder() / dataset,
    )
    if folder is None and gallery_address(dataset, inside):
        write_links(dataset, gallery_folder(), comparison_links(dataset, gallery_folder() / dataset))
    return written


def _reports(experiments: Iterable[str], finished: Finished, folder: Path) -> Iterator[Link]:
    for name in experiments:
        for one, artifact in finished:
            if name in one.used_by and artifact.has(PAGE) and (href := address(artifact.file(PAGE), folder)):
                yield f"{one.stage.name.replace('_', ' ').capitalize()} of {name}", href


def _told(compared: Compared) -> Iterator[RenderableType]:
    """What the terminal shows."""
    comparison, written = compared.measured.comparison, compared.written
    yield from (_block_table(block) for block in compared.measured.blocks)
    yield (
        f"Below a value: the difference to the first row and its 95 % interval by paired bootstrap over images, "
        f"bold where it leaves out 0; of fewer than {FEWEST} images there is none."
    )
    yield from (f"{part.title}: {part.note}" for part in comparison.parts if part.note)
    yield from comparison.same
    if comparison.curves.traced:
        yield _area_table(comparison.curves)
    yield _pair_table(compared.measured.pairs, comparison.splits)
    yield _knob_table(comparison.knobs, comparison.experiments)
    yield from comparison.lacking
    yield from comparison.reviewed
    yield from filter(None, [comparison.published.why_not])
    if comparison.published.rows:
        yield f"{len(comparison.published.systems)} published systems stand beside them on the page."
    if not comparison.truth:
        yield "There is no ground truth to compare with."
    if written.lost:
        yield f"{len(written.lost)} images changed and are not shown: {', '.join(written.lost[:5])}"
    yield f"The page with the masks that differ most: {written.page}"


def _block_table(block: Block) -> Table:
    measures = shown(block, narrow=True)
    table = folding("experiment", *(measure.name for measure in measures), title=f"{block.part}, {counted(block)}")
    for experiment, figures in block.rows.items():
        cells = [(figures.get(measure.name), measure) for measure in measures]
        texts = [f"{value_text(*cell)}\n{_difference(*cell)}".strip() for cell in cells]
        bold = ["bold" if figure and figure.differs else "" for figure, _ in cells]
        table.add_row(experiment, *map(coloured, texts, bold))
    return table


def _difference(figure: Figure | None, measure: Measure) -> str:
    return f"{delta_text(figure, measure)} {interval_text(figure, measure)}".strip()


def _area_table(curves: Curves) -> Table:
    table = folding("experiment", *curves.splits, title="AUC-PR of pixels, %; the curves are on the page")
    for one in curves.traced:
        areas = (one.areas.get(split) for split in curves.splits)
        table.add_row(curves.name(one), *("-" if area is None else f"{100 * area:.1f}" for area in areas))
    return table


def _pair_table(pairs: Sequence[Pair], splits: Sequence[str]) -> Table:
    present = [split for split in splits if any(split in pair.ious for pair in pairs)]
    table = folding("masks", "experiments", *present, title="IoU between masks: mean, and share below a half")
    for pair in pairs:
        found = [pair.likeness(split) for split in present]
        cells = [f"{100 * one.mean:.1f} / {100 * one.apart:.1f} %" if one else "-" for one in found]
        table.add_row(pair.part, f"{pair.first}, {pair.second}", *cells)
    return table


def _knob_table(rows: Sequence[KnobRow], experiments: Sequence[str]) -> RenderableType:
    if not rows:
        return "No knob differs."
    table = folding("knob", *experiments, title="Knobs that differ")
    for row in rows:
        table.add_row(row.name, *row.values)
    return table
