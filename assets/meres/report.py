"""MERES's page: scores and precision-recall curves beside LAVT's, and the attention of its tokens."""

from collections.abc import Mapping

from markupsafe import Markup

from assets.evaluation.tables import AREAS, CURVE
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.meres.figures import MeresFigures
from assets.meres.knobs import MeresReportKnobs
from assets.meres.stages import MERES
from assets.meres.stages import SEGMENTERS as MERES_SEGMENTERS
from assets.reports.figures import figures_of, spread
from assets.reports.html import PageTable, page_table, write_page
from assets.reports.lengths import lengths
from assets.reports.plots import Curve, line_plot
from assets.reports.sections import left_out, loss_plot, scores, slices, summaries
from assets.segmenters.registry import TrainedSegmenter
from assets.ssc.stages import SEGMENTERS as LAVTS

SEGMENTERS = (*LAVTS, *MERES_SEGMENTERS)
SEVERAL = 4
"""Referents that are shown with several expressions."""
ORDER = tuple(model.method for model in SEGMENTERS)
COLUMNS = ("split", "method", "resolution", "rows", "oIoU", "mIoU", "P@0.5", "P@0.7", "P@0.9")


def meres_report(work: Work) -> Outcome:
    """One page of MERES: scores and curves beside LAVT's, and its attention to six expressions. Open `report.html`."""
    drawing, metrics = MeresFigures(work), work.input(MERES).manifest.metrics
    count = work.knobs_as(MeresReportKnobs).examples
    gallery = figures_of(work, spread(drawing.scored(), count), drawing.draw)
    several = figures_of(work, spread(drawing.in_agreement(), min(SEVERAL, count)), drawing.draw_several)
    scored = [model.scores for model in traced_segmenters(work)]
    parts = {
        "labels": metrics["labels"],
        "epoch": metrics["epoch chosen by"],
        "scores": scores(summaries(work, scored), order=ORDER, columns=COLUMNS),
        "areas": _areas(work),
        "curves": _curves(work),
        "losses": {"Loss of MERES": loss_plot(work.input(MERES))},
        "attention": drawing.shows_attention,
        "gallery": gallery,
        "several": several,
        "lengths": lengths(work),
        "slices": slices(work, scored, order=ORDER),
        "left_out": left_out(work),
    }
    return write_page(work, "meres_report.html.j2", [*gallery, *several], parts)


def traced_segmenters(work: Work) -> list[TrainedSegmenter]:
    """MERES and the models beside it."""
    return [model for model in SEGMENTERS if work.has(model.curve)]


def _areas(work: Work) -> PageTable | None:
    """The area below every curve; None without ground truth."""
    areas = [area for model in traced_segmenters(work) for area in AREAS.rows(work.input(model.curve))]
    areas.sort(key=lambda area: (area.split, area.resolution, ORDER.index(area.method)))
    rows = [AREAS.columns(area) for area in areas]
    return page_table(rows, ("split", "method", "resolution", "expressions", "AUC_PR")) if rows else None


def _curves(work: Work) -> Mapping[str, Markup]:
    """Split -> precision over recall of every model, at the image's own size."""
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for model in traced_segmenters(work):
        for point in CURVE.rows(work.input(model.curve)):
            if point.resolution == "original":
                of_split = curves.setdefault(point.split, {})
                of_split.setdefault(model.method, []).append((point.recall, point.precision))
    return {split: _precision_plot(lines) for split, lines in curves.items()}


def _precision_plot(lines: Mapping[str, Curve]) -> Markup:
    return line_plot(lines, x_label="recall", y_label="precision", y_range=(0, 1))
