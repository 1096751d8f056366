"""The stages of MERES, those that make labels for it, and the curves and the page that compare it with other models."""

from collections.abc import Callable

from assets import curves, labels, meres, meres_report
from assets.knobs import NoKnobs, ScoreKnobs
from assets.meres_knobs import MeresKnobs, MeresReportKnobs
from assets.stage import Outcome, Stage, Work
from assets.tris.curve import tris_curve

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
    Stage(
        name="meres",
        version=1,
        run=meres.meres,
        knobs=MeresKnobs,
        needs=("references",),
        gpu=True,
        trains=True,
        kinds=frozenset({"pytorch"}),
    ),
    Stage(
        name="meres_predictions",
        version=1,
        run=meres.meres_predictions,
        knobs=NoKnobs,
        needs=("references", "meres"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="meres_scores",
        version=1,
        run=meres.meres_scores,
        knobs=ScoreKnobs,
        needs=("references", "meres_predictions", "ground_truth"),
    ),
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


def _curve(body: Callable[[Work], Outcome], trained: str) -> Stage:
    return Stage(
        name=body.__name__,
        version=1,
        run=body,
        knobs=NoKnobs,
        needs=("references", trained, "ground_truth"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    )


CURVES = (
    _curve(curves.curve, "zs_bootstrap"),
    _curve(curves.corrected_curve, "corrected"),
    _curve(curves.supervised_curve, "supervised"),
    _curve(curves.meres_curve, "meres"),
    _curve(tris_curve, "tris_segmenter"),
)
"""They judge: no model and no mask reads them."""
