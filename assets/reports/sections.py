"""Sections that several pages have: scores, slices of them, losses, and what was left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from markupsafe import Markup

from assets.data.stages import REFERENCES
from assets.data.tables import QUARANTINE
from assets.framework.stage import Stage
from assets.framework.work import Work
from assets.reports.html import PageTable, page_table
from assets.reports.plots import line_plot
from storage.artifact import Artifact

LISTED = 20
"""Rows left out that a page names."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Rows of tables `summary`."""

    table: PageTable | None
    """None: there is no ground truth."""
    rules: tuple[str, ...]
    """How empty masks count."""


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Mean IoU by kind of expression."""

    split: str
    table: PageTable | None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """How many rows every input kept and left out, and why the first references were."""

    counts: PageTable
    references: PageTable | None


def scores(rows: Sequence[Mapping[str, Any]], *, order: Sequence[str], columns: Iterable[str]) -> Scores:
    """By split, and then in the order of methods."""
    ranked = sorted(rows, key=lambda row: (row["split"], row["per"], order.index(row["method"]), row["resolution"]))
    rules = tuple(sorted({row["rule"] for row in rows}))
    return Scores(table=page_table(ranked, columns) if rows else None, rules=rules)


def summaries(work: Work, scored: Iterable[Stage]) -> list[dict[str, Any]]:
    """Rows of the tables `summary` of some stages."""
    return [row for stage in scored for row in work.input(stage).table("summary").to_pylist()]


def slices(work: Work, scored: Iterable[Stage], *, order: Sequence[str]) -> Slices:
    """Where methods differ: mIoU of each slice of the first scored split, at the image's own size.

    `scored` are stages with a table `slices`.
    """
    split, lines = work.instance.source.evaluate[0], dict[tuple[str, str], dict[str, Any]]()
    for row in (row for stage in scored for row in work.input(stage).table("slices").to_pylist()):
        if row["split"] == split and row["resolution"] == "original":
            line = lines.setdefault((row["by"], row["slice"]), {"by": row["by"], "slice": row["slice"]})
            line |= {"expressions": row["rows"], row["method"]: row["mIoU"]}
    shown = set().union(*lines.values())
    names = ("by", "slice", "expressions", *(method for method in order if method in shown))
    rows = [dict.fromkeys(names) | line for _, line in sorted(lines.items())]
    return Slices(split=split, table=page_table(rows, names) if rows else None)


def loss_plot(trained: Artifact) -> Markup:
    """The running mean of the table `history` over the optimizer steps."""
    history = trained.table("history")
    steps, losses = history["step"].to_pylist(), history["loss"].to_pylist()
    window = max(1, len(losses) // 100)
    means = [float(np.mean(losses[max(0, end - window) : end])) for end in range(1, len(losses) + 1)]
    return line_plot({"loss": list(zip(steps, means, strict=True))}, x_label="optimizer step", y_label="loss")


def left_out(work: Work) -> LeftOut:
    """From the manifests of all inputs, and the quarantine of `references`."""
    rows = [
        {"stage": name, "table": table, "quarantined": tally.quarantined, "rows": tally.rows}
        for name, artifact in work.inputs.items()
        for table, tally in artifact.manifest.rows.items()
    ]
    lost = [QUARANTINE.columns(row) for row in islice(QUARANTINE.rows(work.input(REFERENCES)), LISTED)]
    return LeftOut(
        counts=page_table(rows, ("stage", "table", "rows", "quarantined")),
        references=page_table(lost, ("where", "item", "reason")) if lost else None,
    )
