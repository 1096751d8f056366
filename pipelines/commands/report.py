"""The tables of an experiment in the terminal, read from finished artifacts."""

import webbrowser
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from assets.reports.html import PAGE
from ops.refusal import Refused
from pipelines.commands.terminal import folding
from pipelines.config.paper_tables import IOUS
from pipelines.graph.load import planned
from pipelines.graph.state import raw_data_problem, ready
from pipelines.pages import comparison_pages
from storage.artifact import Artifact


def report_table(dataset: str, experiment: str) -> RenderableType:
    """Text stages, choices and the trained model of one experiment, and where its page lies.

    Raises:
        Refused: a stage was not run yet, or under other settings.
    """
    artifacts = _finished(dataset, experiment)
    words = _words_table(artifacts)
    cells = summary_of(artifacts)
    splits = list(dict.fromkeys(split for split, _ in cells))
    masks = folding(
        "masks", *(f"{split} oIoU / mIoU" for split in splits), title="Per expression, at the image's own size"
    )
    for method in dict.fromkeys(method for _, method in cells):
        masks.add_row(method, *(_pair(cells.get((split, method))) for split in splits))
    rules = {
        row["rule"] for artifact in artifacts.values() if artifact.has("summary.parquet") for row in _rows(artifact)
    }
    lines: list[RenderableType] = [words, masks, f"Rule for empty masks: {'; '.join(sorted(rules))}."]
    if not cells:
        lines = [words, "There is no ground truth to compare with: no ground-truth mask was found."]
    pages = (artifact.file(PAGE) for artifact in artifacts.values() if artifact.has(PAGE))
    lines += [f"The page with pictures: {page}" for page in pages]
    lines += [f"Compared with others: {page}" for page in comparison_pages(dataset)]
    return Group(*lines)


def open_page(dataset: str, experiment: str) -> None:
    """Show the page of an experiment in the person's browser.

    Raises:
        Refused: there is no page yet.
    """
    pages = [artifact.file(PAGE) for artifact in _finished(dataset, experiment).values() if artifact.has(PAGE)]
    if not pages:
        raise Refused(f"{experiment} on {dataset} has no page: `report` is none of its targets")
    webbrowser.open(pages[0].as_uri())


def summary_of(
    artifacts: Mapping[str, Artifact], measures: Sequence[str] = IOUS
) -> dict[tuple[str, str], tuple[float, ...]]:
    """(split, method) -> the measures, per expression at the image's own size; NaN where there is none."""
    return {
        (row["split"], row["method"]): _figures(row, measures)
        for artifact in artifacts.values()
        if artifact.has("summary.parquet")
        for row in _rows(artifact)
        if row["per"] == "expression" and row["resolution"] == "original"
    }


def classes_of(artifact: Artifact, measures: Sequence[str] = IOUS) -> dict[tuple[str, str], tuple[float, ...]]:
    """(split, seen | unseen | neither) -> the measures, as `summary_of`, of an artifact with one method."""
    return {
        (row["split"], row["slice"]): _figures(row, measures)
        for row in artifact.table("slices").to_pylist()
        if row["by"] == "novelty of the class" and row["resolution"] == "original"
    }


def _finished(dataset: str, experiment: str) -> dict[str, Artifact]:
    used = planned(dataset, experiment)
    artifacts = ready(used)
    missing = [instance.stage.name for instance in used if instance.stage.name not in artifacts]
    if missing:
        raise Refused(
            f"{raw_data_problem(used)}{experiment} on {dataset}: {', '.join(missing)} not ready; "
            f"run `wordmask run -d {dataset} -e {experiment}`"
        )
    return artifacts


def _words_table(artifacts: Mapping[str, Artifact]) -> Table:
    """Noun extraction, class projection and detection, as far as they are scored."""
    words = folding("split", "noun hit rate", "projection accuracy", "candidates per object", title="Before the masks")
    rows = artifacts["choice_scores"].table("text").to_pylist() if "choice_scores" in artifacts else []
    for row in rows:
        words.add_row(
            row["split"],
            _percent(row["noun_hit_rate"]),
            _percent(row["projection_accuracy"]),
            f"{row['candidates_per_object']:.2f}",
        )
    return words


def _rows(artifact: Artifact) -> list[dict[str, Any]]:
    return artifact.table("summary").to_pylist()


def _figures(row: Mapping[str, Any], measures: Sequence[str]) -> tuple[float, ...]:
    return tuple(nan if row[name] is None else row[name] for name in measures)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _pair(cell: Sequence[float] | None) -> str:
    return "-" if cell is None else f"{100 * cell[0]:.1f} / {100 * cell[1]:.1f}"
