"""The registry of stages: name, version, knobs, inputs, body.

Raise a version when the same knobs would now give another result; `tests/pipelines/test_versions.py` notices when the
code of a stage changed and its version did not.
"""

from assets.data import corpus
from assets.evaluation import iou_scores as evaluate
from assets.framework.stage import Stage
from assets.knobs_old import (
    BootstrapKnobs,
    CandidateKnobs,
    ChoiceKnobs,
    CorrectKnobs,
    GroundedKnobs,
    GroundTruthKnobs,
    NoKnobs,
    NounKnobs,
    ProjectionKnobs,
    ReportKnobs,
    ScoreKnobs,
    SupervisedKnobs,
)
from assets.segmenters import predict
from assets.ssc import mask_choices as select
from assets.ssc import report, segment, train
from assets.tris import localisation_scores as tris_scores
from assets.tris import predict as tris_predict
from assets.tris import prms as selection
from assets.tris import pseudo_labels as labels
from assets.tris import report as tris_report
from assets.tris import response_maps as maps
from assets.tris import train as steps
from assets.tris.knobs import (
    JudgedKnobs,
    LocalisationKnobs,
    RefinementKnobs,
    ResponseKnobs,
    ResponseScoreKnobs,
    SegmenterKnobs,
    SelectionKnobs,
    TrisReportKnobs,
)
from pipelines.stages_common import measured, segmenter
from pipelines.stages_meres import CURVES, MERES

_ALL = (
    Stage(name="dataset_index", version=1, run=corpus.dataset_index, knobs=NoKnobs, raw=corpus.raw_fingerprint),
    Stage(name="references", version=1, run=corpus.references, knobs=NoKnobs, needs=("dataset_index",)),
    Stage(name="ground_truth", version=1, run=corpus.ground_truth, knobs=GroundTruthKnobs, needs=("dataset_index",)),
    Stage(
        name="noun_phrases",
        version=1,
        run=segment.noun_phrases,
        knobs=NounKnobs,
        needs=("references",),
        kinds=frozenset({"spacy", "parquet"}),
    ),
    Stage(
        name="projected_classes",
        version=1,
        run=segment.projected_classes,
        knobs=ProjectionKnobs,
        needs=("references", "noun_phrases"),
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="candidate_masks",
        version=1,
        run=segment.candidate_masks,
        knobs=CandidateKnobs,
        needs=("references", "projected_classes"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="mask_choices",
        version=1,
        run=select.mask_choices,
        knobs=ChoiceKnobs,
        needs=("references", "projected_classes", "candidate_masks"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="choice_scores",
        version=2,
        run=evaluate.choice_scores,
        knobs=ScoreKnobs,
        needs=("references", "noun_phrases", "projected_classes", "candidate_masks", "mask_choices", "ground_truth"),
    ),
    Stage(
        name="grounded_masks",
        version=1,
        run=segment.grounded_masks,
        knobs=GroundedKnobs,
        needs=("references",),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="grounded_scores",
        version=2,
        run=evaluate.grounded_scores,
        knobs=ScoreKnobs,
        needs=("references", "grounded_masks", "ground_truth"),
    ),
    segmenter(train.zs_bootstrap, version=2, knobs=BootstrapKnobs, needs=("references", "mask_choices")),
    *measured("zs_bootstrap", predict=predict.predictions, score=evaluate.scores, version=2),
    segmenter(
        train.corrected,
        version=1,
        knobs=CorrectKnobs,
        needs=("references", "candidate_masks", "mask_choices", "zs_bootstrap"),
    ),
    *measured("corrected", predict=predict.corrected_predictions, score=evaluate.corrected_scores, version=2),
    segmenter(train.supervised, version=1, knobs=SupervisedKnobs, needs=("references", "ground_truth")),
    *measured("supervised", predict=predict.supervised_predictions, score=evaluate.supervised_scores, version=2),
    *MERES,
    *CURVES,
    Stage(
        name="tris_response_model",
        version=1,
        run=steps.tris_response_model,
        knobs=ResponseKnobs,
        needs=("references",),
        gpu=True,
        kinds=frozenset({"pytorch"}),
    ),
    Stage(
        name="response_maps",
        version=1,
        run=maps.response_maps,
        knobs=NoKnobs,
        needs=("references", "tris_response_model"),
        gpu=True,
        kinds=frozenset({"pytorch", "zarr"}),
    ),
    Stage(
        name="selected_responses",
        version=1,
        run=selection.selected_responses,
        knobs=SelectionKnobs,
        needs=("references", "response_maps"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="response_scores",
        version=1,
        run=tris_scores.response_scores,
        knobs=ResponseScoreKnobs,
        needs=("references", "response_maps", "selected_responses", "ground_truth"),
    ),
    Stage(
        name="refined_labels",
        version=1,
        run=labels.refined_labels,
        knobs=RefinementKnobs,
        needs=("references", "response_maps", "selected_responses"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="tris_segmenter",
        version=1,
        run=steps.tris_segmenter,
        knobs=SegmenterKnobs,
        needs=("references", "refined_labels"),
        gpu=True,
        kinds=frozenset({"pytorch"}),
    ),
    Stage(
        name="tris_predictions",
        version=1,
        run=tris_predict.tris_predictions,
        knobs=LocalisationKnobs,
        needs=("references", "tris_segmenter"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="tris_scores",
        version=2,
        run=tris_scores.tris_scores,
        knobs=JudgedKnobs,
        needs=("references", "refined_labels", "tris_predictions", "ground_truth"),
    ),
    Stage(
        name="tris_report",
        version=1,
        run=tris_report.tris_report,
        knobs=TrisReportKnobs,
        needs=(
            "references",
            "ground_truth",
            "tris_response_model",
            "response_maps",
            "selected_responses",
            "refined_labels",
            "tris_segmenter",
            "tris_predictions",
            "response_scores",
            "tris_scores",
        ),
        gpu=True,
        kinds=frozenset({"pytorch", "html"}),
    ),
    Stage(
        name="report",
        version=4,
        run=report.report,
        knobs=ReportKnobs,
        needs=(
            "references",
            "ground_truth",
            "noun_phrases",
            "projected_classes",
            "candidate_masks",
            "mask_choices",
            "choice_scores",
            "zs_bootstrap",
            "predictions",
            "scores",
        ),
        kinds=frozenset({"html"}),
    ),
)

STAGES: dict[str, Stage] = {stage.name: stage for stage in _ALL}
