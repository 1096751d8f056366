"""The published numbers: what papers and code pages print of systems on the four public data sets.

`published.csv` holds a line for each system, data set and measure of a table: its values by split as printed, in
percent, and in `note` what is known to be wrong with them. RefCOCOg's splits carry (U) or (G), for its two partitions.
`IoU` is a measure of which the source does not say whether it is overall or mean; it compares with neither.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from resources.datasets import DatasetConfig
from resources.datasets.published_counts import PUBLISHED

PUBLISHED_NAMES = {
    ("refcoco", "unc"): ("RefCOCO", ""),
    ("refcoco+", "unc"): ("RefCOCO+", ""),
    ("refcocog", "umd"): ("RefCOCOg", "(U)"),
    ("refcocog", "google"): ("RefCOCOg", "(G)"),
    ("referit", ""): ("ReferIt", ""),
}
"""Folder and partition of a data set -> its published name, and the ending of its splits."""
ORDER = ("RefCOCO", "RefCOCO+", "RefCOCOg", "ReferIt")
WHOLE = 0.99
"""Share of a published split's expressions that must be there: a broken image or two take nothing from a number."""


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """What a table prints of a system on a data set by one measure."""

    paper: str
    table: str
    """As the paper calls it; empty where the source is no paper's table."""
    system: str
    supervision: str
    """What it learns from: zero-shot, text, weak (pseudo-masks), box, full, LLM ..."""
    dataset: str
    measure: str
    values: dict[str, float]
    """Split -> percent."""
    note: str


@cache
def published() -> tuple[PublishedRow, ...]:
    """All of them, in the order of their sources."""
    text = files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedRow(
            paper=line["paper"],
            table=line["table"],
            system=line["system"],
            supervision=line["supervision"],
            dataset=line["dataset"],
            measure=line["metric"],
            values={name: float(value) for name, value in (pair.split("=") for pair in line["values"].split())},
            note=line["note"],
        )
        for line in csv.DictReader(text.splitlines())
    )


def published_in(paper: str, tables: Iterable[str]) -> list[PublishedRow]:
    """The rows of some tables of a paper.

    Raises:
        ValueError: the paper has no such table.
    """
    wanted = list(tables)
    rows = [row for row in published() if row.paper == paper and row.table in wanted]
    if missing := set(wanted) - {row.table for row in rows}:
        raise ValueError(f"nothing is known of {paper}'s {sorted(missing)}")
    return rows


def published_on(name: str, split_by: str, measures: Sequence[str]) -> list[PublishedRow]:
    """What is published of a real data set; the splits are called as the data set calls them.

    Args:
        name: folder of the data set, such as `refcoco+`.
        split_by: its partition, such as `umd`.
        measures: those that are wanted, such as `oIoU`.

    Returns:
        Rows of all sources, each system and measure once, from the first source that has it; none where the data set is
        no public one.
    """
    title, ending = PUBLISHED_NAMES.get((name, split_by), ("", ""))
    found: dict[tuple[str, str], PublishedRow] = {}
    for row in published():
        if row.dataset != title or row.measure not in measures or "ablation" in row.system:
            continue
        values = {
            split.removesuffix(ending): value for split, value in row.values.items() if split.endswith(ending or split)
        }
        if values:
            found.setdefault((row.system, row.measure), PublishedRow(**{**vars(row), "values": values}))
    return list(found.values())


def whole_splits(config: DatasetConfig, counts: Mapping[str, int]) -> set[str]:
    """The splits of a data set that are there as they were published, or of which no count is published.

    Args:
        config: of the data set.
        counts: split -> expressions that were read.
    """
    known = PUBLISHED.get((config.name, config.split_by), {})
    return {
        split
        for split in counts
        if split not in known or (WHOLE <= counts[split] / known[split].expressions <= 1 and not config.split_map)
    }


def markdown_of(rows: Sequence[PublishedRow]) -> list[str]:
    """Lines of Markdown: a table for each measure, systems down and splits of the data sets across, notes below."""
    lines: list[str] = []
    notes: dict[str, int] = {}
    for measure in dict.fromkeys(row.measure for row in rows):
        ours = [row for row in rows if row.measure == measure]
        columns = sorted(
            {(row.dataset, split): None for row in ours for split in row.values}, key=lambda pair: ORDER.index(pair[0])
        )
        lines += [f"| {measure} | " + " | ".join(" ".join(pair) for pair in columns) + " |"]
        lines += ["|---|" + "---|" * len(columns)]
        for system in dict.fromkeys((row.system, row.supervision) for row in ours):
            mine = [row for row in ours if (row.system, row.supervision) == system]
            cells = {(row.dataset, split): f"{value:g}" for row in mine for split, value in row.values.items()}
            marks = [notes.setdefault(row.note, len(notes) + 1) for row in mine if row.note]
            told = "".join(f" [{mark}]" for mark in dict.fromkeys(marks))
            lines.append(
                f"| {system[0]} ({system[1]}){told} | " + " | ".join(cells.get(pair, "") for pair in columns) + " |"
            )
        lines.append("")
    lines += [f"[{number}] {note}.  " for note, number in notes.items()]
    return lines
