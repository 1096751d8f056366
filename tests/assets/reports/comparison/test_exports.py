"""The tables of a comparison in files: what is written is read back, whatever experiments are called."""

import csv
import io
import re
from dataclasses import replace
from typing import Any

import pytest

from assets.reports.comparison.exports import csv_page, latex_page, latex_text, markdown_page, markdown_text
from assets.reports.comparison.figures import Block, blocks_of
from assets.reports.comparison.knobs import knob_rows
from assets.reports.comparison.tables import delta_text, grids_of, interval_text, value_text
from tests.comparisons import compared

ODD = ["base_1", 'ödd|"\\&%$#_{}~^<b>\n[x](y)`,;']
COMPARED = compared(ODD)
BLOCKS = blocks_of(COMPARED)
SAID = " ".join(ODD[1].split())


def test_csv_gives_back_every_figure_exactly() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_page(BLOCKS).decode())))
    found = {(row["masks"], row["split"], row["experiment"], row["measure"]): row for row in rows}
    figures = [
        (block, experiment, name, figure)
        for block in BLOCKS
        for experiment, of_one in block.rows.items()
        for name, figure in of_one.items()
    ]
    assert len(found) == len(rows) == len(figures)
    for block, experiment, name, figure in figures:
        row = found[block.part, block.split, experiment, name]
        for column, expected in (("value", figure.value), ("delta", figure.delta), ("low", figure.low)):
            assert (float(row[column]) if row[column] else None) == expected
        assert (row["baseline"], row["images"]) == ("base_1", str(block.images))


def cells_of(block: Block, experiment: str) -> list[tuple[str, ...]]:
    (grid,) = grids_of([block], narrow=True)
    cells = [(grid.figure(experiment, column), column.measure) for column in grid.columns]
    return [(value_text(*cell), delta_text(*cell), interval_text(*cell)) for cell in cells]


def test_markdown_is_a_table_of_as_many_cells_in_every_line_and_reads_as_written() -> None:
    lines = [line for line in markdown_page(BLOCKS).decode().splitlines() if line.startswith("|")]
    unescaped = [
        [re.sub(r"\\(.)", r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines
    ]
    head, _, base, other = unescaped
    assert {len(line) for line in unescaped} == {9}
    assert head[:3] == ["experiment", "train oIoU", "train mIoU"]
    assert (base[0], other[0]) == ("base_1", SAID)
    expected = [cell for block in BLOCKS for cell in cells_of(block, ODD[1])]
    for cell, (value, delta, between) in zip(other[1:], expected, strict=True):
        assert cell == (f"{value} ({delta} {between})" if delta else value)
    assert not re.search(r"(?<!\\)[<`]", "".join(lines))


def test_latex_has_balanced_groups_and_every_figure_in_its_cell() -> None:
    page = latex_page(BLOCKS).decode()
    plain = re.sub(r"\\[\\&%$#_{}]", "", page)
    assert plain.count("{") == plain.count("}")
    body = page[page.index(r"\midrule") : page.index(r"\bottomrule")].splitlines()[1:]
    cells = [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in body]
    assert [row[0] for row in cells] == [r"base\_1", latex_text(ODD[1])]
    for row, experiment in zip(cells, ODD, strict=True):
        numbers = [tuple(re.findall(r"\$([^$]*)\$", cell)) for cell in row[1:]]
        told = [
            tuple(text for text in cell if text and text != "-")
            for block in BLOCKS
            for cell in cells_of(block, experiment)
        ]
        assert numbers == told
    assert r"\multicolumn{4}{c}{train}" in page


@pytest.mark.parametrize(
    ("text", "latex", "markdown"),
    [
        ("a_b", r"a\_b", r"a\_b"),
        ("50 % & more", r"50 \% \& more", r"50 % \& more"),
        ("x\\y{z}", r"x\textbackslash{}y\{z\}", r"x\\y\{z\}"),
        ("one\ntwo\x1b", "one two�", "one two�"),
    ],
)
def test_what_a_format_would_act_on_is_escaped(text: str, latex: str, markdown: str) -> None:
    assert (latex_text(text), markdown_text(text)) == (latex, markdown)


def test_without_ground_truth_narrow_tables_show_what_is_known() -> None:
    (grid,) = grids_of(blocks_of(compared(["base", "other"], truth=False))[:1], narrow=True)
    names = [column.measure.name for column in grid.columns]
    assert names == ["IoU with base", "no mask", "area", "no candidate", "margin", "sentences agree"]
    assert value_text(grid.figure("base", grid.columns[0]), grid.columns[0].measure) == "-"


def test_numbers_are_in_percent_or_points_and_nothing_is_minus_zero() -> None:
    block = BLOCKS[0]
    by_name = {measure.name: measure for measure in block.measures}
    figure: Any = next(iter(block.rows[ODD[1]].values()))
    turned = replace(figure, value=0.1234, delta=-0.0001, low=-0.05, high=0.0)
    share, points = by_name["mIoU"], by_name["margin"]
    assert (value_text(turned, share), delta_text(turned, share)) == ("12.3", "+0.0")
    assert interval_text(turned, share) == "[-5.0, +0.0]"
    assert (value_text(turned, points), delta_text(None, points)) == ("0.12", "")


def test_no_experiment_differs_from_itself() -> None:
    assert knob_rows({"one": [], "two": []}) == []
