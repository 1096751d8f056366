"""Tables for the terminal, read from finished artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from assets.reports.html import PAGE
from pipelines.commands.run import in_use, planned, ready
from pipelines.rows import IOUS
from resources.store import home
from storage.artifact import Artifact

if TYPE_CHECKING:
    from ops.ssc.nouns import Rule


def report_table(dataset: str, experiment: str) -> RenderableType:
    """Text stages, choices and the trained model of one experiment, and where its page lies.

    Raises:
        ValueError: a stage was not run yet, or under other settings.
    """
    artifacts = _finished(dataset, experiment)
    words = folding("split", "noun hit rate", "projection accuracy", "candidates per object", title="Before the masks")
    texts = artifacts["choice_scores"].table("text").to_pylist() if "choice_scores" in artifacts else []
    for row in texts:
        words.add_row(
            row["split"],
            _percent(row["noun_hit_rate"]),
            _percent(row["projection_accuracy"]),
            f"{row['candidates_per_object']:.2f}",
        )
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
        lines = [words, "There is no ground truth to compare with: no drawn mask was found."]
    pages = (artifact.file(PAGE) for artifact in artifacts.values() if artifact.has(PAGE))
    lines += [f"The page with pictures: {page}" for page in pages]
    return Group(*lines)


def comparison(dataset: str, *, baseline: str) -> RenderableType:
    """Every finished experiment on a data set, with the difference to the baseline in mIoU points.

    Raises:
        ValueError: nobody asked for the baseline there; says for what they did.
    """
    from pipelines.definitions import load_plan

    instances = [one for one in load_plan() if one.dataset == dataset]
    found = {
        name: summary_of(ready(in_use(instances, dataset, name)))
        for name in dict.fromkeys(name for one in instances for name in one.used_by)
    }
    if baseline not in found:
        known = ", ".join(found) or "none: nothing was asked for there"
        raise ValueError(f"no experiment {baseline} to compare with on data set {dataset}; its experiments: {known}")
    splits = list(dict.fromkeys(split for cells in found.values() for split, _ in cells if split != "train"))
    table = folding(
        "experiment", "masks", *(f"{split} oIoU / mIoU" for split in splits), title=f"{dataset}, baseline {baseline}"
    )
    for name, cells in found.items():
        for method in dict.fromkeys(method for _, method in cells):
            columns = []
            for split in splits:
                cell, base = cells.get((split, method)), found.get(baseline, {}).get((split, method))
                delta = f" ({100 * (cell[1] - base[1]):+.1f})" if cell and base and name != baseline else ""
                columns.append(_pair(cell) + delta)
            table.add_row(name, method, *columns)
    return table


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


def noun_table(pairs: Path, *, synonyms: Path | None, rule: Rule, parser: str) -> RenderableType:
    """Shares of hits and the kinds of failures of noun extraction on expressions whose class is known.

    Raises:
        Refused: a file or a column is missing.
    """
    from ops.evaluation.noun_hits import evaluate_nouns
    from ops.ssc.nouns import noun_phrases
    from resources.datasets.class_pairs import read_class_pairs
    from resources.models.loading import open_parser
    from resources.models.spacy_parser import parse_all

    labelled = read_class_pairs(pairs, synonyms=synonyms)
    nlp = open_parser(parser)
    nouns = noun_phrases(
        [label.expression for label in labelled.expressions], lambda texts: parse_all(nlp, texts), rule=rule
    )
    found = evaluate_nouns(labelled.expressions, nouns, labelled.synonyms)
    shares = folding(
        "data set", "hits", "sentences with a class word", "share", title=f"Noun rule {rule}, {found.pairs} pairs"
    )
    for name, share in {**found.datasets, "all": found.overall, "all, one-word synonyms": found.one_word}.items():
        shares.add_row(name, str(share.hits), str(share.rows), f"{share.value:.3f}")
    misses = folding(
        "kind of miss", "count", "examples: sentence (class) -> nouns", title="Failures by kind", show_lines=True
    )
    for kind in found.failures:
        lines = [f"{said} ({category}) -> {', '.join(nouns) or 'none'}" for said, category, nouns in kind.examples]
        misses.add_row(kind.kind, str(kind.count), escape("\n".join(lines)))
    return Group(shares, misses)


def doctor_table(*, thorough: bool) -> tuple[Table, bool]:
    """What `wordmask doctor` prints, and whether nothing is bad."""
    from resources.doctor import diagnose

    checks = diagnose(store=home() / "store", thorough=thorough)
    table = folding("what", "verdict", "found", "what to do")
    colours = {"good": "green", "note": "yellow", "bad": "red"}
    for check in checks:
        verdict = f"[{colours[check.verdict]}]{check.verdict}[/]"
        table.add_row(check.topic, verdict, escape(check.found), escape(check.advice))
    return table, all(check.verdict != "bad" for check in checks)


def folding(*names: str, title: str | None = None, show_lines: bool = False) -> Table:
    """A table that breaks long words instead of cutting them."""
    table = Table(title=title, show_lines=show_lines)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _finished(dataset: str, experiment: str) -> dict[str, Artifact]:
    used = planned(dataset, experiment)
    found = ready(used)
    missing = [one.stage.name for one in used if one.stage.name not in found]
    if missing:
        raise ValueError(
            f"{experiment} on {dataset}: {', '.join(missing)} not ready; "
            f"run `wordmask run -d {dataset} -e {experiment}`"
        )
    return found


def _rows(artifact: Artifact) -> list[dict[str, Any]]:
    return artifact.table("summary").to_pylist()


def _figures(row: Mapping[str, Any], measures: Sequence[str]) -> tuple[float, ...]:
    return tuple(nan if row[name] is None else row[name] for name in measures)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _pair(cell: Sequence[float] | None) -> str:
    return "-" if cell is None else f"{100 * cell[0]:.1f} / {100 * cell[1]:.1f}"
