"""HTML pages: Jinja templates that escape whatever they are handed, and the parts that all pages share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.figures import PanelFigure
from assets.reports.provenance import provenance
from assets.reports.text import visible
from ops.visualisation import preview_png, side_by_side, stacked
from storage.files import write_bytes
from storage.rows import Tally

PAGE = "report.html"
PREVIEWED = 2
"""Figures of a page that the preview shows."""


@dataclass(frozen=True, kw_only=True)
class PageTable:
    """Rows of a table as a page shows them."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: int
    """Leading columns that hold words, not numbers."""


def page_table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> PageTable:
    """Some columns of rows; fractions become percentages with one digit, and what is missing a dash."""
    names = tuple(columns)
    words = 0
    while words < len(names) and all(isinstance(row[names[words]], str) for row in rows):
        words += 1
    return PageTable(columns=names, rows=[tuple(cell(row[name]) for name in names) for row in rows], words=words)


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if isinstance(value, float) else str(value)


def write_page(work: Work, template: str, figures: Sequence[PanelFigure], parts: Mapping[str, Any]) -> Outcome:
    """Render the page of a stage into its slot.

    Args:
        work: the running stage.
        template: its name below `templates/`.
        figures: those that `parts` hold; the first of them become the preview.
        parts: what the template asks for by name, beside the data set, the experiment and the machine.
    """
    source = work.instance.source
    page = render(
        template,
        dataset=work.instance.dataset,
        experiment=work.instance.experiment,
        train=source.train,
        evaluate=source.evaluate,
        embedded=uses_embedded_models(work),
        origins=provenance(work),
        **parts,
    )
    write_bytes(work.slot.content / PAGE, page.encode())
    return Outcome(tallies={"examples": Tally.computed_anew(len(figures))}, preview=_preview(figures[:PREVIEWED]))


def render(template: str, **parts: Any) -> str:
    """A template with its parts; whatever is not markup of our own is escaped."""
    return _environment().get_template(template).render(**parts)


def uses_embedded_models(work: Work) -> bool:
    """Whether any input was made with a small embedded model."""
    return any("embedded" in str(artifact.manifest.extra.get("models", "")) for artifact in work.inputs.values())


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("assets.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _preview(figures: Sequence[PanelFigure]) -> bytes | None:
    if not figures:
        return None
    strips = [side_by_side(figure.panels, height=170, caption=figure.caption) for figure in figures]
    return preview_png([("", stacked(strips))])
