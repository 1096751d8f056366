"""The numbers of a comparison as text: cells, and one table for each kind of masks with a row for each experiment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from assets.reports.comparison.figures import Block, Figure, Measure

NOTHING = "-"
MAIN = ("oIoU", "mIoU", "P@0.5")
"""Measures that a narrow table shows where there is ground truth; without, it shows all."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A measure on a split."""

    split: str
    measure: Measure

    def of(self, block: Block, experiment: str) -> Figure | None:
        """None where the experiment does not have it."""
        return block.rows[experiment].get(self.measure.name)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows are experiments, columns are splits x measures."""

    part: str
    baseline: str
    blocks: Mapping[str, Block]
    """By split."""
    columns: tuple[Column, ...]

    @property
    def experiments(self) -> tuple[str, ...]:
        """The baseline first."""
        return tuple(next(iter(self.blocks.values())).rows)

    @property
    def counted(self) -> str:
        """How much stands behind the numbers."""
        return "; ".join(counted(block) for block in self.blocks.values())

    def spans(self) -> Iterator[tuple[str, int]]:
        """Split by split, and its number of columns."""
        for split in self.blocks:
            yield split, sum(column.split == split for column in self.columns)

    def figure(self, experiment: str, column: Column) -> Figure | None:
        """What stands in a cell."""
        return column.of(self.blocks[column.split], experiment)


def grids_of(blocks: Sequence[Block], *, narrow: bool = False) -> list[Grid]:
    """A table for each kind of masks.

    Args:
        blocks: part by part.
        narrow: with the measures of `MAIN`, and how far masks agree, where there is ground truth.
    """
    parts = {block.part: [one for one in blocks if one.part == block.part] for block in blocks}
    return [
        Grid(
            part=part,
            baseline=of_part[0].baseline,
            blocks={block.split: block for block in of_part},
            columns=tuple(
                Column(split=block.split, measure=measure) for block in of_part for measure in shown(block, narrow)
            ),
        )
        for part, of_part in parts.items()
    ]


def shown(block: Block, narrow: bool) -> list[Measure]:
    """The measures of a block that a table has room for."""
    judged = any(measure.name in MAIN for measure in block.measures)
    kept = (*MAIN, f"IoU with {block.baseline}")
    return [measure for measure in block.measures if not (narrow and judged) or measure.name in kept]


def counted(block: Block) -> str:
    """How many expressions and images stand behind a block."""
    of = "" if block.expressions == block.asked else f" of {block.asked:,}"
    return f"{block.split}: {block.expressions:,}{of} expressions of {block.images:,} images"


def value_text(figure: Figure | None, measure: Measure) -> str:
    """With one digit in percent, or two in points."""
    return NOTHING if figure is None or figure.value is None else _number(figure.value, measure, "")


def delta_text(figure: Figure | None, measure: Measure) -> str:
    """`+1.2`; empty where there is none."""
    return "" if figure is None or figure.delta is None else _number(figure.delta, measure, "+")


def interval_text(figure: Figure | None, measure: Measure) -> str:
    """`[+0.3, +2.1]`; empty where there is none."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"[{_number(figure.low, measure, '+')}, {_number(figure.high, measure, '+')}]"


def _number(value: float, measure: Measure, sign: str) -> str:
    text = f"{100 * value:{sign}.1f}" if measure.unit == "percent" else f"{value:{sign}.2f}"
    return text.replace("-0.0", "+0.0" if sign else "0.0") if float(text) == 0 else text
