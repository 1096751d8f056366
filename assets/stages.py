"""Every stage of the graph and every trained segmenter, gathered from the folders that declare them.

Raise a stage's version when the same knobs would now give another result; `tests/pipelines/test_versions.py` notices
when the code of a stage changed and its version did not.
"""

from assets.data import stages as data
from assets.framework.stage import Stage
from assets.meres import stages as meres
from assets.reports import stages as reports
from assets.segmenters.registry import TrainedSegmenter
from assets.ssc import stages as ssc
from assets.tris import stages as tris

_BOOTSTRAP, _CORRECTED, _DISTILLED, _SUPERVISED = ssc.SEGMENTERS
_MERES, _MERES_MATCHED = meres.SEGMENTERS
SEGMENTERS: tuple[TrainedSegmenter, ...] = (
    _MERES_MATCHED,
    _DISTILLED,
    _CORRECTED,
    _MERES,
    *tris.SEGMENTERS,
    _BOOTSTRAP,
    _SUPERVISED,
)
"""Where an experiment has several, the first of them is what it is about."""
DERIVED = tuple(stage for model in SEGMENTERS for stage in (model.predictions, model.scores, model.curve))
STAGES: dict[str, Stage] = {
    stage.name: stage for stage in (*data.STAGES, *ssc.STAGES, *tris.STAGES, *meres.STAGES, *DERIVED, *reports.STAGES)
}


def segmenter_scored_by(scores: Stage) -> TrainedSegmenter:
    """The model whose masks a stage of scores compares with ground truth."""
    return next(model for model in SEGMENTERS if model.scores.name == scores.name)


def segmenter_traced_by(curve: Stage) -> TrainedSegmenter:
    """The model whose probabilities a stage of precision and recall counts."""
    return next(model for model in SEGMENTERS if model.curve.name == curve.name)
