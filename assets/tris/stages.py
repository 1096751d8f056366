"""TRIS: response maps from expressions alone, PRMS, refined pseudo-labels, and the segmenter that learns from them."""

from assets.data.stages import GROUND_TRUTH, REFERENCES
from assets.framework.knobs import NoKnobs
from assets.framework.stage import Stage
from assets.segmenters.registry import COMPUTED, TRAINED, TrainedSegmenter
from assets.tris.knobs import (
    EvaluatedKnobs,
    PredictionKnobs,
    RefinementKnobs,
    ResponseKnobs,
    ResponseScoreKnobs,
    SegmenterKnobs,
    SelectionKnobs,
    TrisReportKnobs,
)

TRIS_RESPONSE_MODEL = Stage(
    name="tris_response_model",
    body="assets.tris.train:tris_response_model",
    version=1,
    knobs=ResponseKnobs,
    needs=(REFERENCES,),
    gpu=True,
    trains=True,
    kinds=TRAINED,
    description="TRIS Step 1: CLIP learns where an image responds to an expression, from expressions alone (TRIS "
    "spec 2). Other texts of a batch are negatives, and a frozen CLIP that sees the image through the "
    "response calibrates it. Resumes from its last checkpoint with the weights of an undisturbed run. "
    "The last epoch is kept, which needs no ground truth; the authors pick the epoch by masks of val.",
)
RESPONSE_MAPS = Stage(
    name="response_maps",
    body="assets.tris.response_maps:response_maps",
    version=1,
    knobs=NoKnobs,
    needs=(REFERENCES, TRIS_RESPONSE_MODEL),
    gpu=True,
    kinds=frozenset({"pytorch", "zarr"}),
    description="Step 1's response to every expression, of the training splits and of the scored ones (TRIS spec "
    "2.4). Every expression passes the network without others beside it. Maps are kept at low "
    "resolution, with the rule to enlarge them in the array's attributes.",
)
SELECTED_RESPONSES = Stage(
    name="selected_responses",
    body="assets.tris.prms:selected_responses",
    version=1,
    knobs=SelectionKnobs,
    needs=(REFERENCES, RESPONSE_MAPS),
    gpu=True,
    kinds=COMPUTED,
    description="PRMS: the response map of each training referent that a frozen CLIP finds most similar to all its "
    "expressions. It presumes to know which expressions mean one referent, which is known of a training"
    " set only: scored splits are not touched unless `splits` says so.",
)
RESPONSE_SCORES = Stage(
    name="response_scores",
    body="assets.tris.localisation_scores:response_scores",
    version=1,
    knobs=ResponseScoreKnobs,
    needs=(REFERENCES, RESPONSE_MAPS, SELECTED_RESPONSES, GROUND_TRUTH),
    description="Step 1's maps, and PRMS where it selected, against ground truth; mIoU is what the paper's tables "
    "call IoU. A referent's box is the tight one around its ground-truth mask, also where the data set "
    "comes with boxes. ReferIt's objects of at most 5 % of the image are left out of the scored splits,"
    " as its tests do; rows of their own count all.",
)
REFINED_LABELS = Stage(
    name="refined_labels",
    body="assets.tris.pseudo_labels:refined_labels",
    version=1,
    knobs=RefinementKnobs,
    needs=(REFERENCES, RESPONSE_MAPS, SELECTED_RESPONSES),
    gpu=True,
    kinds=COMPUTED,
    description="Pseudo-labels: IRNet learns edges and displacements from seeds, and selected maps walk between "
    "them (TRIS spec 4). Three parts that each resume after a kill: seeds by a dense CRF (the table "
    "`seeds`), training (checkpoints), and the random walk (the table `labels`). The method `none` "
    "takes the strong part of a selected map as it is.",
)
TRIS_SEGMENTER = Stage(
    name="tris_segmenter",
    body="assets.tris.train:tris_segmenter",
    version=1,
    knobs=SegmenterKnobs,
    needs=(REFERENCES, REFINED_LABELS),
    gpu=True,
    trains=True,
    kinds=TRAINED,
    description="TRIS Step 2: a segmenter on a fresh CLIP, trained on the refined pseudo-labels (TRIS spec 5). "
    "Referents whose label is empty are left out. Resumes as Step 1 does, and keeps the last epoch too.",
)
TRIS_PREDICTIONS = Stage(
    name="tris_predictions",
    body="assets.tris.predict:tris_predictions",
    version=1,
    knobs=PredictionKnobs,
    needs=(REFERENCES, TRIS_SEGMENTER),
    gpu=True,
    kinds=COMPUTED,
    description="Step 2's mask, and the place of its largest logit, for every expression of the scored splits, and "
    "of the first training references if asked.",
)
TRIS_SCORES = Stage(
    name="tris_scores",
    body="assets.tris.localisation_scores:tris_scores",
    version=2,
    knobs=EvaluatedKnobs,
    needs=(REFERENCES, REFINED_LABELS, TRIS_PREDICTIONS, GROUND_TRUTH),
    description="Refined labels, on training images alone, and Step 2 against ground truth; see `response_scores`.",
)
TRIS_CURVE = Stage(
    name="tris_curve",
    body="assets.tris.precision_recall:tris_curve",
    version=1,
    knobs=NoKnobs,
    needs=(REFERENCES, TRIS_SEGMENTER, GROUND_TRUTH),
    gpu=True,
    kinds=COMPUTED,
    description="Precision and recall of the pixels of TRIS's segmenter over all thresholds, and the area below "
    "(AUC-PR).",
)
TRIS_REPORT = Stage(
    name="tris_report",
    body="assets.tris.report:tris_report",
    version=2,
    knobs=TrisReportKnobs,
    needs=(
        REFERENCES,
        GROUND_TRUTH,
        TRIS_RESPONSE_MODEL,
        RESPONSE_MAPS,
        SELECTED_RESPONSES,
        REFINED_LABELS,
        TRIS_SEGMENTER,
        TRIS_PREDICTIONS,
        RESPONSE_SCORES,
        TRIS_SCORES,
    ),
    gpu=True,
    kinds=frozenset({"pytorch", "html"}),
    description="One page of TRIS: scores, loss curves, a dozen referents from response to mask, all maps of some, and "
    "failures. Open `report.html`.",
)
SEGMENTERS = (
    TrainedSegmenter(
        trained=TRIS_SEGMENTER,
        method="TRIS",
        predictions=TRIS_PREDICTIONS,
        scores=TRIS_SCORES,
        curve=TRIS_CURVE,
        open="assets.tris.predict:open_tris_segmenter",
        network="assets.tris.onnx_network:tris_network",
    ),
)
STAGES = (
    TRIS_RESPONSE_MODEL,
    RESPONSE_MAPS,
    SELECTED_RESPONSES,
    RESPONSE_SCORES,
    REFINED_LABELS,
    TRIS_SEGMENTER,
    TRIS_REPORT,
)
