"""MERES's page: scores and precision-recall curves beside LAVT's, and the attention of its tokens."""

from html import escape
from typing import Any

from assets.evaluation.tables import AREAS, CURVE
from assets.framework.stage import Outcome, Stage
from assets.framework.work import Work
from assets.meres.figures import MeresPictures
from assets.meres.knobs import MeresReportKnobs
from assets.meres.stages import MERES
from assets.meres.stages import SEGMENTERS as MERES_SEGMENTERS
from assets.reports.html import (
    NO_TRUTH,
    RESOLUTIONS,
    drawn,
    figure,
    loss_curve,
    quarantined,
    scores_html,
    slices_html,
    spread,
    table_html,
    toy_note,
    write_page,
)
from assets.segmenters.registry import TrainedSegmenter
from assets.ssc.stages import SEGMENTERS as LAVTS
from ops.visualisation import curve_svg

ORDER = tuple(model.method for model in (*LAVTS, *MERES_SEGMENTERS))
LEGEND = (
    "Heat is blue where there is little and red where there is most. "
    "<b>Words</b>: attention of the linguistic tokens in the last layer that enhances them. "
    "<b>Visual expressions</b>: their attention to the pixels that they keep (Eq. 8). Both are means over tokens "
    "and heads, relative to the strongest pixel: an even red means that all pixels get the same attention. "
    "<b>Share of visual expressions</b>: how much of its attention each pixel of the decoder's last stage pays to "
    "visual expressions, from 0 (blue) to all of it (red); the rest goes to words. "
    "<b>MERES</b>: its mask. <b>Ground truth</b>: the annotated one. "
    "<b>Tokens and pixels</b>: the plane in which these differ most (principal components of both kinds of tokens "
    "and of the pixels of the coarsest map)."
)


def meres_report(work: Work) -> Outcome:
    """One page of MERES: scores and curves beside LAVT's, and its attention to six expressions. Open `report.html`."""
    pictures = MeresPictures(work)
    gallery = drawn(work, spread(pictures.scored(), work.knobs_as(MeresReportKnobs).examples), pictures.draw)
    parts = [_head(work), _scores(work), _precision(work), loss_curve("Loss of MERES", work.input(MERES))]
    parts += ["<h2>Attention</h2>", f'<p class="note">{LEGEND}</p>', *map(figure, gallery)]
    parts += [slices_html(work, _scored(work), order=ORDER), quarantined(work)]
    return write_page(work, parts, gallery)


def _segmenters(work: Work) -> list[TrainedSegmenter]:
    """MERES and the models beside it."""
    return [model for model in (*LAVTS, *MERES_SEGMENTERS) if work.has(model.curve)]


def _scored(work: Work) -> list[Stage]:
    return [model.scores for model in _segmenters(work)]


def _head(work: Work) -> str:
    source, metrics = work.instance.source, work.input(MERES).manifest.metrics
    return (
        f"<p>MERES, trained on {escape(', '.join(source.train))} with <code>{escape(str(metrics['labels']))}</code> as "
        f"labels; scored on {escape(', '.join(source.evaluate))}. Its epoch was chosen by "
        f"{escape(str(metrics['epoch chosen by']))}.</p>" + toy_note(work)
    )


def _scores(work: Work) -> str:
    rows = [row for stage in _scored(work) for row in work.input(stage).table("summary").to_pylist()]
    columns = ("split", "method", "resolution", "rows", "oIoU", "mIoU", "P@0.5", "P@0.7", "P@0.9")
    return scores_html(rows, order=ORDER, columns=columns, note=RESOLUTIONS)


def _precision(work: Work) -> str:
    """A curve of each split at the image's own size, and all areas."""
    areas: list[dict[str, Any]] = []
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for model in _segmenters(work):
        traced = work.input(model.curve)
        areas += [AREAS.columns(row) for row in AREAS.read(traced)]
        for point in CURVE.read(traced):
            if point.resolution == "original":
                of_split = curves.setdefault(point.split, {})
                of_split.setdefault(model.method, []).append((point.recall, point.precision))
    if not areas:
        return f"<h2>Precision and recall of pixels</h2><p>{NO_TRUTH}</p>"
    areas.sort(key=lambda row: (row["split"], row["resolution"], ORDER.index(row["method"])))
    pictures = [
        f'<figure style="display:inline-block"><figcaption>{escape(split)}</figcaption>'
        + curve_svg(lines, x_label="recall", y_label="precision", y_range=(0, 1))
        + "</figure>"
        for split, lines in curves.items()
    ]
    return (
        "<h2>Precision and recall of pixels</h2>"
        '<p class="note">Over all thresholds of the probability, at the image\'s own size; AUC_PR is the area below, '
        "in percent.</p>"
        + table_html(areas, ("split", "method", "resolution", "expressions", "AUC_PR"))
        + "".join(pictures)
    )
