"""TRIS's page: scores, curves of both steps and of IRNet, what each stage made of a dozen referents, and failures."""

from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.figures import figures_of, spread
from assets.reports.html import page_table, write_page
from assets.reports.sections import left_out, loss_plot, scores, slices, summaries
from assets.tris.failures import counted, worst_of_each_kind
from assets.tris.figures import TrisFigures
from assets.tris.knobs import TrisReportKnobs
from assets.tris.localisation_scores import HITS
from assets.tris.stages import (
    REFINED_LABELS,
    RESPONSE_SCORES,
    SEGMENTERS,
    TRIS_RESPONSE_MODEL,
    TRIS_SCORES,
    TRIS_SEGMENTER,
)

ORDER = ("TRIS Step 1", "PRMS", "refined labels", *(model.method for model in SEGMENTERS))
"""Methods as the stages follow each other."""
COLUMNS = ("split", "method", "per", "rows", "oIoU", "mIoU", "P@0.5", *HITS)
SCORED = (RESPONSE_SCORES, TRIS_SCORES)
TRAINED = {"Step 1": TRIS_RESPONSE_MODEL, "IRNet": REFINED_LABELS, "Step 2": TRIS_SEGMENTER}
"""Labels may come without an IRNet."""
RANKED = 4
"""Referents that the page shows with the maps of all their expressions."""
FAILED = 2
"""Failures of each kind."""


def tris_report(work: Work) -> Outcome:
    """One page of TRIS: scores, loss curves, and a dozen referents from response to mask. Open `report.html`."""
    drawing, count = TrisFigures(work), work.knobs_as(TrisReportKnobs).examples
    training = figures_of(work, spread(drawing.training(), count), drawing.draw_training)
    ranked = figures_of(work, drawing.ranked()[: min(RANKED, count)], drawing.draw_maps)
    scored = figures_of(work, spread(drawing.scored(), count), drawing.draw_scored)
    failures = drawing.failures()
    failed = figures_of(work, worst_of_each_kind(failures, min(FAILED, count)), drawing.draw_failure)
    trained = {name: work.input(stage) for name, stage in TRAINED.items()}
    parts = {
        "scores": scores(summaries(work, SCORED), order=ORDER, columns=COLUMNS),
        "losses": {
            f"Loss of {name}": loss_plot(artifact)
            for name, artifact in trained.items()
            if artifact.has("history.parquet")
        },
        "training": training,
        "ranked": ranked,
        "scored": scored,
        "failures": page_table(counted(failures), ("failure", "expressions")),
        "failed": failed,
        "slices": slices(work, SCORED, order=ORDER),
        "left_out": left_out(work),
    }
    return write_page(work, "tris_report.html.j2", [*training, *ranked, *scored, *failed], parts)
