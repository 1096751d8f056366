"""MERES: a segmenter guided by linguistic and visual expression tokens, trained on any source of labels."""

from assets.data.stages import GROUND_TRUTH, REFERENCES
from assets.framework.stage import Stage
from assets.meres.knobs import Labels, MeresKnobs, MeresMatchedKnobs, MeresReportKnobs
from assets.segmenters.registry import epoch_needs, referring_segmenter, training
from assets.ssc.stages import CANDIDATE_MASKS, CORRECTED_LABELS, MASK_CHOICES
from assets.ssc.stages import SEGMENTERS as LAVTS
from assets.tris.stages import REFINED_LABELS

LABEL_SOURCES: dict[Labels, Stage] = {
    "mask_choices": MASK_CHOICES,
    "corrected": CORRECTED_LABELS,
    "refined_labels": REFINED_LABELS,
    "ground_truth": GROUND_TRUTH,
}
"""The stage that each source of labels reads. Another source is a name in `Labels`, a row here, and a row of
`assets.meres.train.LABELS`."""


def meres_needs(knobs: MeresKnobs) -> tuple[Stage, ...]:
    """What the source of labels reads, and ground truth where it picks the epoch."""
    wanted = {stage.name: stage for stage in (LABEL_SOURCES[knobs.labels], *epoch_needs(knobs))}
    return tuple(wanted.values())


def report_needs(knobs: MeresReportKnobs) -> tuple[Stage, ...]:
    """Scores and curves of the models that the page shows beside MERES."""
    known = {model.trained.name: model for model in LAVTS}
    return tuple(stage for name in knobs.beside for stage in (known[name].scores, known[name].curve))


MERES = training(
    "meres",
    body="assets.meres.train:meres",
    version=3,
    knobs=MeresKnobs,
    needs=(REFERENCES,),
    also_needs=meres_needs,
    description="MERES from pretrained backbones, on S2, last matches of S+S+C, TRIS's labels or ground-truth "
    "masks. The paper is fully supervised; only with `labels: ground_truth` are ground-truth masks read"
    " here. Resumes as ZSBootstrap does (MERES spec 6, 7).",
)
MERES_MATCHED = training(
    "meres_matched",
    body="assets.meres.train:meres_matched",
    version=1,
    knobs=MeresMatchedKnobs,
    needs=(REFERENCES, CANDIDATE_MASKS, MASK_CHOICES, MERES),
    description="Training goes on from MERES over all candidates, matched anew at every step (S+S+C Eq. 3), for "
    "both its losses. Beyond the paper, and what `corrected` is to ZSBootstrap: with MERES on S2 no "
    "ground-truth mask is read.",
)
SEGMENTERS = (
    referring_segmenter(MERES, "MERES", prefix="meres_"),
    referring_segmenter(MERES_MATCHED, "MERES, matched", prefix="meres_matched_"),
)
MERES_REPORT = Stage(
    name="meres_report",
    body="assets.meres.report:meres_report",
    version=2,
    knobs=MeresReportKnobs,
    needs=(
        REFERENCES,
        GROUND_TRUTH,
        MERES,
        SEGMENTERS[0].predictions,
        SEGMENTERS[0].scores,
        SEGMENTERS[0].curve,
    ),
    also_needs=report_needs,
    gpu=True,
    kinds=frozenset({"pytorch", "html"}),
    description="One page of MERES: scores and curves beside LAVT's, its attention to six expressions, several "
    "expressions of one referent, and how long they are. Open `report.html`.",
)
STAGES = (MERES, MERES_MATCHED, MERES_REPORT)
