"""The report: one HTML page per data set and experiment, readable without a server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assets.data.images import Pixels
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of, scored_referents
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.certainty import (
    absence,
    certainty_of,
    is_calibration,
    least_sure,
    least_sure_first,
    reviewed,
    told,
)
from assets.reports.figures import PanelFigure, figures_of, masked, spread
from assets.reports.html import PageTable, page_table, write_page
from assets.reports.knobs import ReportKnobs
from assets.reports.sections import left_out, loss_plot, scores, slices, summaries
from assets.reports.stages import SHOWN
from assets.segmenters.registry import TrainedSegmenter
from assets.segmenters.tables import PREDICTIONS
from assets.ssc.correction_gallery import figures, logged_referents, shares_right
from assets.ssc.prompt_gallery import prompts_seen
from assets.ssc.stages import (
    CANDIDATE_MASKS,
    CHOICE_SCORES,
    CORRECTED,
    MASK_CHOICES,
    NOUN_PHRASES,
    PROJECTED_CLASSES,
    SUPERVISED,
)
from assets.ssc.tables import ChoiceRow, candidates_of, choices_of, nouns_of, queries_of, read_choices
from ops.visualisation import Panel, overlay
from storage.artifact import Artifact

ORDER = ("random", "first", "S+S by each expression", "S+S", "oracle", *(model.method for model in SHOWN))
COLUMNS = ("split", "method", "per", "resolution", "rows", "oIoU", "mIoU", *(f"P@0.{tenth}" for tenth in range(5, 10)))


def report(work: Work) -> Outcome:
    """One page: the table, what each stage made of a dozen referents, and the loss curves. Open `report.html`."""
    referents, certainty = scored_referents(work), certainty_of(read_choices(work.input(MASK_CHOICES)))
    shown = spread(referents, work.knobs_as(ReportKnobs).examples)
    named = certainty.least_sure(referents)
    choices = choices_of(work.input(MASK_CHOICES), ref_ids=[one.ref_id for one in (*shown, *named)])
    ordered = least_sure_first(shown, choices)
    gallery = figures_of(work, ordered, ReferentFigures(work, shown, choices).draw)
    models = shown_segmenters(work)
    scored = [CHOICE_SCORES, *(model.scores for model in models)]
    parts = {
        "taught": taught_by_ground_truth(work),
        "epochs": [
            f"{model.method} by {work.input(model.trained).manifest.metrics['epoch chosen by']}" for model in models
        ],
        "scores": scores(summaries(work, scored), order=ORDER, columns=COLUMNS),
        "text": _text(work),
        "reasons": _choice_reasons(work),
        "least_sure": least_sure(named, choices),
        "absence": absence(work.input(MASK_CHOICES)),
        "reviewed": reviewed(certainty),
        "losses": {model.method: loss_plot(work.input(model.trained)) for model in models},
        "gallery": gallery,
        "prompts": prompts_seen(work, ordered, choices),
        "matching": _matching(work),
        "slices": slices(work, scored, order=ORDER),
        "left_out": left_out(work),
    }
    return write_page(work, "report.html.j2", gallery, parts)


def shown_segmenters(work: Work) -> list[TrainedSegmenter]:
    """Those of `SHOWN` that this report reads."""
    return [model for model in SHOWN if work.has(model.trained)]


def taught_by_ground_truth(work: Work) -> list[str]:
    """The models whose labels were ground-truth masks."""
    taught = [model for model in shown_segmenters(work) if _learnt_from_ground_truth(work.input(model.trained))]
    return ["the supervised upper bound" if model.trained is SUPERVISED else model.method for model in taught]


def _learnt_from_ground_truth(model: Artifact) -> bool:
    """Whether ground-truth masks were its labels; that they picked the epoch, the page says in any case."""
    labels = model.manifest.metrics.get("labels", model.manifest.stage)
    return labels in (GROUND_TRUTH.name, SUPERVISED.name)


def _text(work: Work) -> PageTable:
    rows = work.input(CHOICE_SCORES).table("text")
    counted = [{**row, "candidates_per_object": f"{row['candidates_per_object']:.2f}"} for row in rows.to_pylist()]
    named = [{name.replace("_", " "): value for name, value in row.items()} for row in counted]
    return page_table(named, (name.replace("_", " ") for name in rows.column_names))


def _choice_reasons(work: Work) -> PageTable:
    metrics = work.input(MASK_CHOICES).manifest.metrics
    reasons = {name: count for name, count in metrics.items() if not is_calibration(name)}
    rows = [{"how a referent's mask was chosen": name, "referents": count} for name, count in reasons.items()]
    return page_table(rows, ("how a referent's mask was chosen", "referents"))


@dataclass(frozen=True, kw_only=True)
class MatchingSection:
    """How matching changed the choices of the training split."""

    referents: int
    shares: PageTable
    gallery: list[PanelFigure]


def _matching(work: Work) -> MatchingSection | None:
    """None without matching, or without ground truth."""
    if not work.has(CORRECTED) or not work.input(CORRECTED).has("matches.parquet"):
        return None
    logged = logged_referents(work)
    if not logged:
        return None
    return MatchingSection(
        referents=len(logged),
        shares=page_table(shares_right(logged), ("who", "right")),
        gallery=figures(work, logged, fixed=6, broken=2),
    )


class ReferentFigures:
    """A referent's way through the stages, side by side."""

    def __init__(self, work: Work, shown: Sequence[Referent], choices: Mapping[int, ChoiceRow]) -> None:
        """What the stages say of some referents."""
        ref_ids, sent_ids = [one.ref_id for one in shown], [one.sent_ids[0] for one in shown]
        self.choices = choices
        self.nouns = nouns_of(work.input(NOUN_PHRASES), expressions=[one.expressions[0] for one in shown])
        self.queries = queries_of(work.input(PROJECTED_CLASSES), ref_ids=ref_ids)
        self.candidates = candidates_of(work.input(CANDIDATE_MASKS), image_ids=[one.image_id for one in shown])
        self.truths = ground_truth_of(work.input(GROUND_TRUTH), object_ids=[one.object_id for one in shown])
        self.predicted = {
            model.method: {
                row.sent_id: row.mask
                for row in PREDICTIONS.rows(work.input(model.predictions), column="sent_id", among=sent_ids)
            }
            for model in shown_segmenters(work)
        }

    def draw(self, referent: Referent, pixels: Pixels) -> PanelFigure:
        """Image, candidates, choice, the mask of each model, and the ground truth."""
        truth = self.truths.get(referent.object_id)
        models = [(name, masked(pixels, masks.get(referent.sent_ids[0]))) for name, masks in self.predicted.items()]
        expression = referent.expressions[0]
        nouns = ", ".join(self.nouns.get(expression, [])) or "none"
        choice = self.choices.get(referent.ref_id)
        said = f"{len(referent.expressions)} expressions{f'  -  choice: {told(choice)}' if choice else ''}"
        return PanelFigure(
            panels=(
                ("image", pixels),
                self._candidates(referent, pixels),
                self._choice(referent, pixels),
                *models,
                *((("ground truth", masked(pixels, truth.mask)),) if truth else ()),
            ),
            subject=f'"{expression}"',
            caption=f'"{expression}"  -  noun: {nouns}  -  {said}',
        )

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
