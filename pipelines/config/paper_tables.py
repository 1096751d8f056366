"""The papers' tables in our form: which figures of which experiment stand in which row (`pipelines/paper_tables`)."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from ops.refusal import Refused
from pipelines.config.described import unknown
from pipelines.config.yaml_files import SHIPPED, read_files

FOLDER = SHIPPED / "paper_tables"
SCORED = ("val", "testA", "testB")
IOUS = ("oIoU", "mIoU")


class Row(BaseModel):
    """One row of a table: the masks of a method, as a stage of an experiment scored them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    experiment: str
    stage: str
    method: str
    classes: str = ""
    """Only expressions of `seen` or `unseen` classes, see `ops.open_vocabulary_split`; empty: all."""


class PrintedTables(BaseModel):
    """Where a paper prints such a table, see `assets.evaluation.published`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: str
    tables: tuple[str, ...]


class PaperTable(BaseModel):
    """One table in the paper's form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    name: str = ""
    """What else it is called."""
    title: str
    rows: tuple[Row, ...]
    splits: tuple[str, ...] = SCORED
    measures: tuple[str, ...] = IOUS
    """Columns of `summary` that a cell shows."""
    note: str = ""
    """What stands below the table: what a reader would otherwise take wrongly."""
    published: PrintedTables | None = None
    """None: the paper has a figure of it at most."""

    @property
    def runs(self) -> tuple[tuple[str, str], ...]:
        """The (experiment, stage) pairs that its rows read, without repeats."""
        return tuple(dict.fromkeys((row.experiment, row.stage) for row in self.rows))

    def scoring(self, scored: Sequence[str]) -> "PaperTable":
        """The table with other scored splits: RefCOCOg has one test split for two."""
        kept = [split for split in self.splits if split not in SCORED or split in scored]
        tested = {*SCORED} & {*self.splits} - {"val"}
        return self.model_copy(update={"splits": (*kept, *(split for split in scored if tested and split not in kept))})


class TablesFile(BaseModel):
    """The tables of a paper as written: a row names its kind, and what is different in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: dict[str, dict[str, str]] = {}
    """Kind of row -> its experiment, stage and method."""
    tables: tuple[PaperTable, ...]

    @model_validator(mode="before")
    @classmethod
    def _fill_rows(cls, raw: Any) -> Any:
        """Put what a kind says into its rows; what is no table or row is left to the other checks."""
        if not isinstance(raw, dict) or not isinstance(raw.get("tables"), list):
            return raw
        kinds = raw.get("kinds", {})
        return {**raw, "tables": [_with_rows(table, kinds) for table in raw["tables"]]}


@cache
def paper_tables(folder: Path = FOLDER) -> tuple[PaperTable, ...]:
    """All tables, by number.

    Raises:
        Refused: a file is not valid.
    """
    return tuple(sorted(suites(folder).values(), key=lambda table: table.number))


@cache
def suites(folder: Path = FOLDER) -> dict[str, PaperTable]:
    """Tables by their own names, or names such as `ssc_table3`: the file, and the last digit of the table's number.

    Raises:
        Refused: a file is not valid.
    """
    files = read_files([folder], TablesFile)
    return {
        table.name or f"{path.stem}_table{table.number % 10}": table
        for path, file in files.items()
        for table in file.tables
    }


def suite(name: str) -> PaperTable:
    """The table of that name.

    Raises:
        Refused: there is none; says which there are.
    """
    known = suites()
    if name not in known:
        listed = "; ".join(f"{one}: {table.title}" for one, table in known.items())
        raise Refused(unknown("no suite is called", name, known, f"suites: {listed}"))
    return known[name]


def tables_called(names: Sequence[str]) -> tuple[PaperTable, ...]:
    """The tables of these numbers, or of these names of their own, in the order of their numbers.

    Raises:
        Refused: one of them means none; says which there are.
    """
    known = {table: table.name or str(table.number) for table in paper_tables()}
    strange = sorted(set(names) - {*known.values(), *(str(table.number) for table in known)})
    if strange:
        raise Refused(f"there is no table {', '.join(strange)}; choose from {', '.join(known.values())}")
    return tuple(table for table, name in known.items() if {name, str(table.number)} & set(names))


def _with_rows(table: Any, kinds: Any) -> Any:
    if not isinstance(table, dict) or not isinstance(table.get("rows"), list):
        return table
    return {**table, "rows": [_filled(row, kinds) for row in table["rows"]]}


def _filled(row: Any, kinds: Any) -> Any:
    kind = row.get("kind") if isinstance(row, dict) else None
    if kind is None:
        return row
    known = {str(name): row for name, row in kinds.items()} if isinstance(kinds, dict) else {}
    if not isinstance(known.get(str(kind)), dict):
        raise ValueError(f"row {row.get('label')!r}: no kind is called {kind}; kinds: {', '.join(known)}")
    return {**known[str(kind)], **{name: value for name, value in row.items() if name != "kind"}}
