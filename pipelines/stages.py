"""The registry of stages: name, version, knobs, inputs, body.

Raise a version when the same knobs would now give another result; `tests/pipelines/test_versions.py` notices when the
code of a stage changed and its version did not.
"""

from assets import corpus, evaluate, report, segment, select, train
from assets.knobs import (
    BootstrapKnobs,
    CandidateKnobs,
    ChoiceKnobs,
    GroundedKnobs,
    GroundTruthKnobs,
    NoKnobs,
    NounKnobs,
    ProjectionKnobs,
    ReportKnobs,
    ScoreKnobs,
)
from assets.stage import Stage

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
        version=1,
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
        version=1,
        run=evaluate.grounded_scores,
        knobs=ScoreKnobs,
        needs=("references", "grounded_masks", "ground_truth"),
    ),
    Stage(
        name="zs_bootstrap",
        version=1,
        run=train.zs_bootstrap,
        knobs=BootstrapKnobs,
        needs=("references", "mask_choices"),
        gpu=True,
        kinds=frozenset({"pytorch"}),
    ),
    Stage(
        name="predictions",
        version=1,
        run=train.predictions,
        knobs=NoKnobs,
        needs=("references", "zs_bootstrap"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    ),
    Stage(
        name="scores",
        version=1,
        run=evaluate.scores,
        knobs=ScoreKnobs,
        needs=("references", "predictions", "ground_truth"),
    ),
    Stage(
        name="report",
        version=1,
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
