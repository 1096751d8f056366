"""How long expressions are, split by split, as in MERES's Table 7, with its numbers where the data set is the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assets.data.stages import REFERENCES
from assets.data.tables import EXPRESSIONS
from assets.evaluation.published import whole_splits
from assets.framework.work import Work
from assets.reports.html import PageTable, page_table

PRINTED: dict[tuple[str, str], dict[str, tuple[int | None, int | None, float | None]]] = {
    ("refcoco", "unc"): {
        "train": (39, None, 3.5),
        "val": (21, 1, 3.6),
        "testA": (23, None, 3.4),
        "testB": (27, None, 3.6),
    },
    ("refcoco+", "unc"): {
        "train": (24, None, None),
        "val": (22, 1, 3.6),
        "testA": (16, None, 3.3),
        "testB": (22, None, 3.8),
    },
    ("refcocog", "umd"): {"train": (46, None, None), "val": (37, 1, 8.5), "test": (32, None, 8.4)},
    ("refcocog", "google"): {"train": (46, None, None), "val": (37, 1, 8.5)},
}
"""Folder and partition of a data set -> split -> most, fewest and mean number of words in MERES's Table 7; None: not
printed. Words are what spaces part: so counted, RefCOCO's val has 21, 1 and 3.57, RefCOCOg's val (G) 37, 1 and 8.48."""
MEASURES = ("most", "fewest", "mean")


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Number of words of the expressions of each split."""

    table: PageTable
    published: bool
    """Whether the paper's numbers stand beside ours."""


def lengths(work: Work) -> Lengths:
    """Of all splits of the data set that were read, in their order."""
    config, words = work.instance.source.config, dict[str, list[int]]()
    for row in EXPRESSIONS.rows(work.input(REFERENCES)):
        words.setdefault(row.split, []).append(len(row.expression.split()))
    real = work.instance.source.toy is None and config.kind == "refer"
    whole = whole_splits(config, {split: len(counts) for split, counts in words.items()}) if real else set()
    printed = PRINTED.get((config.name, config.split_by), {})
    return lengths_beside(words, {split: numbers for split, numbers in printed.items() if split in whole})


def lengths_beside(
    words: Mapping[str, Sequence[int]], printed: Mapping[str, tuple[int | None, int | None, float | None]]
) -> Lengths:
    """The table of some splits.

    Args:
        words: split -> number of words of each expression.
        printed: split -> the paper's numbers.
    """
    shown = {name: printed[name] for name in words if name in printed}
    names = ("split", "expressions", *(f"{name} words" for name in MEASURES))
    beside = tuple(f"{name}, MERES" for name in MEASURES) if shown else ()
    rows = []
    for split, counts in words.items():
        ours = (max(counts), min(counts), f"{sum(counts) / len(counts):.2f}")
        theirs = tuple("-" if number is None else str(number) for number in shown.get(split, (None,) * 3))
        rows.append(dict(zip((*names, *beside), (split, len(counts), *ours, *theirs), strict=False)))
    return Lengths(table=page_table(rows, (*names, *beside)), published=bool(shown))
