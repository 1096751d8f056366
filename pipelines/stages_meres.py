"""The stages of MERES, those that make labels for it, and the curves and the page that compare it with other models."""

from assets.evaluation import precision_recall as curves
from assets.framework.stage import Stage
from assets.knobs_old import NoKnobs
from assets.meres import report as meres_report
from assets.meres import train as meres
from assets.meres.knobs import MeresKnobs, MeresMatchedKnobs, MeresReportKnobs
from assets.ssc import corrected_labels as labels
from assets.tris.precision_recall import tris_curve
from pipelines.stages_common import curve, measured, segmenter

MERES = (
    Stage(
        name="corrected_labels",
        version=1,
        run=labels.corrected_labels,
        knobs=NoKnobs,
        needs=("references", "candidate_masks", "mask_choices", "corrected"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    segmenter(meres.meres, version=3, knobs=MeresKnobs, needs=("references",)),
    *measured("meres", predict=meres.meres_predictions, score=meres.meres_scores, version=1),
    segmenter(
        meres.meres_matched,
        version=1,
        knobs=MeresMatchedKnobs,
        needs=("references", "candidate_masks", "mask_choices", "meres"),
    ),
    *measured("meres_matched", predict=meres.meres_matched_predictions, score=meres.meres_matched_scores, version=1),
    Stage(
        name="meres_report",
        version=1,
        run=meres_report.meres_report,
        knobs=MeresReportKnobs,
        needs=("references", "ground_truth", "meres", "meres_predictions", "meres_scores", "meres_curve"),
        gpu=True,
        kinds=frozenset({"pytorch", "html"}),
    ),
)
"""What `meres` reads beside the references is a matter of its knob `labels`."""


CURVES = (
    curve("zs_bootstrap", curves.curve),
    curve("corrected", curves.corrected_curve),
    curve("supervised", curves.supervised_curve),
    curve("meres", curves.meres_curve),
    curve("meres_matched", curves.meres_matched_curve),
    curve("tris_segmenter", tris_curve),
)
