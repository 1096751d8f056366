"""The numbers of a comparison as CSV, Markdown and LaTeX."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from assets.exports.coco import csv_bytes
from assets.reports.comparison.figures import FEWEST, RULE, Block
from assets.reports.comparison.tables import Grid, delta_text, grids_of, interval_text, value_text
from assets.reports.text import visible

CSV_COLUMNS = (
    "masks",
    "experiment",
    "baseline",
    "split",
    "measure",
    "value",
    "delta",
    "low",
    "high",
    "expressions",
    "images",
)
NOTE = (
    "In percent, margins in points; in brackets the difference to the first row and its 95 % interval by paired "
    f"bootstrap over images, of {FEWEST} images or more. An expression counts once, at the image's own size; {RULE}."
)
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~&]")


def csv_page(blocks: Sequence[Block]) -> bytes:
    """A line for each figure: shares are fractions, what is not known is empty."""
    return csv_bytes([CSV_COLUMNS, *_lines(blocks)])


def _lines(blocks: Sequence[Block]) -> Iterator[tuple[str, ...]]:
    for block in blocks:
        for experiment, figures in block.rows.items():
            for name, one in figures.items():
                numbers = (one.value, one.delta, one.low, one.high)
                yield (
                    *(visible(text) for text in (block.part, experiment, block.baseline, block.split, name)),
                    *("" if number is None else repr(number) for number in numbers),
                    str(block.expressions),
                    str(block.images),
                )


def markdown_page(blocks: Sequence[Block]) -> bytes:
    """A table for each kind of masks, as GitHub shows it."""
    return "\n".join(line for grid in grids_of(blocks, narrow=True) for line in _markdown(grid)).encode()


def _markdown(grid: Grid) -> Iterator[str]:
    names = [f"{column.split} {column.measure.name}" for column in grid.columns]
    yield f"### {markdown_text(grid.part)}"
    yield ""
    yield f"| experiment | {' | '.join(map(markdown_text, names))} |"
    yield "|---|" + "---:|" * len(names)
    for experiment in grid.experiments:
        cells = [markdown_text(_cell(grid, experiment, at)) for at in range(len(names))]
        yield f"| {markdown_text(experiment)} | {' | '.join(cells)} |"
    yield from ("", markdown_text(f"{grid.counted}. {NOTE}"), "")


def _cell(grid: Grid, experiment: str, at: int) -> str:
    column = grid.columns[at]
    figure = grid.figure(experiment, column)
    told = " ".join(filter(None, (delta_text(figure, column.measure), interval_text(figure, column.measure))))
    return value_text(figure, column.measure) + (f" ({told})" if told else "")


def markdown_text(text: str) -> str:
    """Text that Markdown shows letter by letter, on one line."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(visible(text).split()))


def latex_page(blocks: Sequence[Block]) -> bytes:
    """A `tabular` for each kind of masks; needs the package booktabs."""
    return "\n".join(line for grid in grids_of(blocks, narrow=True) for line in _latex(grid)).encode()


def _latex(grid: Grid) -> Iterator[str]:
    spans = list(grid.spans())
    yield f"% {latex_text(grid.part)}: {latex_text(grid.counted)}"
    yield f"% {latex_text(NOTE)}"
    yield f"\\begin{{tabular}}{{l{'r' * len(grid.columns)}}}"
    yield r"\toprule"
    yield "".join(f" & \\multicolumn{{{width}}}{{c}}{{{latex_text(split)}}}" for split, width in spans) + r" \\"
    yield f"experiment & {' & '.join(latex_text(column.measure.name) for column in grid.columns)} \\\\"
    yield r"\midrule"
    for experiment in grid.experiments:
        cells = [_latex_cell(grid, experiment, at) for at in range(len(grid.columns))]
        yield f"{latex_text(experiment)} & {' & '.join(cells)} \\\\"
    yield from (r"\bottomrule", r"\end{tabular}", "")


def _latex_cell(grid: Grid, experiment: str, at: int) -> str:
    column = grid.columns[at]
    figure = grid.figure(experiment, column)
    value = f"${value_text(figure, column.measure)}$" if figure and figure.value is not None else "--"
    small = [
        f"\\,{{\\scriptsize ${text}$}}"
        for text in (delta_text(figure, column.measure), interval_text(figure, column.measure))
        if text
    ]
    return value + "".join(small)


def latex_text(text: str) -> str:
    """Text that LaTeX sets letter by letter, on one line."""
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(visible(text).split()))


PAGES: Mapping[str, Callable[[Sequence[Block]], bytes]] = {
    ".csv": csv_page,
    ".md": markdown_page,
    ".tex": latex_page,
}
"""Ending of a file -> what makes its bytes."""
