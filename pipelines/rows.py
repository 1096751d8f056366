"""The form of a paper's table: which figures of which experiment stand in which row."""

from dataclasses import dataclass

SCORED = ("val", "testA", "testB")
CHOSEN = ("train", *SCORED)
"""Choices are also measured on the first 1,000 references of train, as the paper does."""

IOUS = ("oIoU", "mIoU")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table: the masks of a method, as a stage of an experiment scored them."""

    label: str
    experiment: str
    stage: str
    method: str
    classes: str = ""
    """Only expressions of `seen` or `unseen` classes, see `ops.open_vocabulary_split`; empty: all."""


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table in the paper's form."""

    number: int
    title: str
    rows: tuple[Row, ...]
    splits: tuple[str, ...] = SCORED
    measures: tuple[str, ...] = IOUS
    """Columns of `summary` that a cell shows."""
