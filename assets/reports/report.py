"""The report: one HTML page per data set and experiment, readable without a server."""

from html import escape

import numpy as np

from assets.data.images import Pixels
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of, scored_referents
from assets.framework.stage import Outcome, Stage
from assets.framework.work import Work
from assets.reports.html import (
    RESOLUTIONS,
    drawn,
    figure,
    loss_curve,
    masked,
    quarantined,
    scores_html,
    slices_html,
    spread,
    table_html,
    toy_note,
    write_page,
)
from assets.reports.knobs import ReportKnobs
from assets.reports.stages import SHOWN
from assets.segmenters.registry import TrainedSegmenter
from assets.segmenters.tables import PREDICTIONS
from assets.ssc.correction_gallery import figures, logged_referents, shares_right
from assets.ssc.stages import (
    CANDIDATE_MASKS,
    CHOICE_SCORES,
    CORRECTED,
    MASK_CHOICES,
    NOUN_PHRASES,
    PROJECTED_CLASSES,
    SUPERVISED,
)
from assets.ssc.tables import candidates_of, choices_of, nouns_of, queries_of
from ops.visualisation import Panel, overlay, side_by_side
from storage.artifact import Artifact

PANELS = (
    "From left to right: the image; S1, the candidates of the referent's class, numbered; S2, the one that all "
    "expressions of the referent chose, and the reason; the mask of each trained model for the expression below; the "
    "ground truth."
)
ORDER = ("random", "first", "S+S by each expression", "S+S", "oracle", *(model.method for model in SHOWN))


def report(work: Work) -> Outcome:
    """One page: the table, what each stage made of a dozen referents, and the loss curves. Open `report.html`."""
    shown = spread(scored_referents(work), work.knobs_as(ReportKnobs).examples)
    gallery = drawn(work, shown, ReferentFigures(work).draw)
    parts = [_head(work), _scores(work), _text(work), _choice_reasons(work)]
    parts += [loss_curve(model.method, work.input(model.trained)) for model in shown_segmenters(work)]
    parts += ["<h2>From expression to mask</h2>", f'<p class="note">{PANELS}</p>', *map(figure, gallery)]
    parts += [_matching(work), slices_html(work, _scored(work), order=ORDER), quarantined(work)]
    return write_page(work, parts, gallery)


def shown_segmenters(work: Work) -> list[TrainedSegmenter]:
    """Those of `SHOWN` that this report reads."""
    return [model for model in SHOWN if work.has(model.trained)]


def _head(work: Work) -> str:
    source, models = work.instance.source, shown_segmenters(work)
    selection = "; ".join(
        f"{model.method} by {work.input(model.trained).manifest.metrics['epoch chosen by']}" for model in models
    )
    taught = [model for model in models if _learnt_from_ground_truth(work.input(model.trained))]
    named = ["the supervised upper bound" if model.trained is SUPERVISED else model.method for model in taught]
    except_for = f" but for {' and '.join(named)}" if named else ""
    return (
        f"<p>Trained on the splits {escape(', '.join(source.train))} without ground-truth masks{except_for}; "
        f"scored on {escape(', '.join(source.evaluate))}. Epochs were chosen: {escape(selection)}.</p>" + toy_note(work)
    )


def _learnt_from_ground_truth(model: Artifact) -> bool:
    """Whether ground-truth masks were its labels; that they picked the epoch, the page says in any case."""
    labels = model.manifest.metrics.get("labels", model.manifest.stage)
    return labels in (GROUND_TRUTH.name, SUPERVISED.name)


def _scores(work: Work) -> str:
    rows = [row for stage in _scored(work) for row in work.input(stage).table("summary").to_pylist()]
    picks = "<i>random</i> and <i>oracle</i> pick among the same candidates, blindly and by the ground truth."
    columns = ("split", "method", "per", "resolution", "rows", "oIoU", "mIoU")
    thresholds = (f"P@0.{tenth}" for tenth in range(5, 10))
    return scores_html(rows, order=ORDER, columns=(*columns, *thresholds), note=f"{RESOLUTIONS} {picks}")


def _text(work: Work) -> str:
    rows = work.input(CHOICE_SCORES).table("text")
    return "<h2>Before the masks</h2>" + table_html(
        [{**row, "candidates_per_object": f"{row['candidates_per_object']:.2f}"} for row in rows.to_pylist()],
        rows.column_names,
    )


def _choice_reasons(work: Work) -> str:
    reasons = work.input(MASK_CHOICES).manifest.metrics
    rows = [{"how a referent's mask was chosen": name, "referents": count} for name, count in reasons.items()]
    return table_html(rows, ("how a referent's mask was chosen", "referents"))


def _matching(work: Work) -> str:
    """How matching changed the choices of the training split, if there was any matching and any ground truth."""
    if not work.has(CORRECTED) or not work.input(CORRECTED).has("matches.parquet"):
        return ""
    logged = logged_referents(work)
    if not logged:
        return ""
    pictures = figures(work, logged, fixed=6, broken=2)
    return (
        "<h2>Mistakes of the choice, and what matching made of them</h2>"
        f"<p>{len(logged)} referents of the training split whose ground truth no weak training saw: the share that was "
        "given a mask with an IoU of at least 0.5 with it, in percent.</p>"
        + table_html(shares_right(logged), ("who", "right"))
        + "".join(figure(picture, verdict) for verdict, picture in pictures)
    )


def _scored(work: Work) -> list[Stage]:
    return [CHOICE_SCORES, *(model.scores for model in shown_segmenters(work))]


class ReferentFigures:
    """A referent's way through the stages, side by side."""

    def __init__(self, work: Work) -> None:
        self.nouns = nouns_of(work.input(NOUN_PHRASES))
        self.queries = queries_of(work.input(PROJECTED_CLASSES))
        self.candidates = candidates_of(work.input(CANDIDATE_MASKS))
        self.choices = choices_of(work.input(MASK_CHOICES))
        self.truths = ground_truth_of(work.input(GROUND_TRUTH))
        self.predicted = {
            model.method: {row.sent_id: row.mask for row in PREDICTIONS.read(work.input(model.predictions))}
            for model in shown_segmenters(work)
        }

    def draw(self, referent: Referent, pixels: Pixels) -> Pixels:
        """Image, candidates, choice, the mask of each model, and the ground truth."""
        truth = self.truths.get(referent.object_id)
        models = [(name, masked(pixels, masks.get(referent.sent_ids[0]))) for name, masks in self.predicted.items()]
        panels: list[Panel] = [
            ("image", pixels),
            self._candidates(referent, pixels),
            self._choice(referent, pixels),
            *models,
            ("ground truth", masked(pixels, truth.mask if truth else None)),
        ]
        expression = referent.expressions[0]
        nouns = ", ".join(self.nouns.get(expression, [])) or "none"
        caption = f'"{expression}"  -  noun: {nouns}  -  {len(referent.expressions)} expressions'
        return side_by_side(panels, height=170, caption=caption)

    def _candidates(self, referent: Referent, pixels: Pixels) -> Panel:
        choice, query = self.choices.get(referent.ref_id), self.queries.get(referent.ref_id)
        numbers = choice.candidates if choice else []
        offered = [mask for mask in self.candidates.get(referent.image_id, []) if mask.candidate in numbers]
        masks_NHW = np.array([mask.mask.decode() for mask in offered], bool).reshape(-1, *pixels.shape[:2])
        labels = [str(mask.candidate) for mask in offered]
        return f"S1: {', '.join(query.query if query else [])}", overlay(pixels, masks_NHW, labels=labels)

    def _choice(self, referent: Referent, pixels: Pixels) -> Panel:
        choice = self.choices.get(referent.ref_id)
        return f"S2: {choice.reason if choice else 'none'}", masked(pixels, choice.mask if choice else None)
