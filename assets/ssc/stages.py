"""Segment, Select, Correct: nouns, classes, candidate masks (S1), the choice (S2), and what learns from it."""

from assets.data.stages import GROUND_TRUTH, REFERENCES
from assets.evaluation.knobs import ScoreKnobs
from assets.framework.stage import Stage, nothing_more
from assets.segmenters.knobs import BootstrapKnobs, SupervisedKnobs, TrainingKnobs
from assets.segmenters.registry import COMPUTED, referring_segmenter, training
from assets.ssc.knobs import (
    CandidateKnobs,
    ChoiceKnobs,
    CorrectKnobs,
    GroundedKnobs,
    LabelKnobs,
    NounKnobs,
    ProjectionKnobs,
)
from assets.tris.stages import RESPONSE_MAPS


def choice_needs(knobs: ChoiceKnobs) -> tuple[Stage, ...]:
    """TRIS's response maps, where the choice hears them."""
    return (RESPONSE_MAPS,) if knobs.hears_responses else ()


NOUN_PHRASES = Stage(
    name="noun_phrases",
    body="assets.ssc.noun_phrases:noun_phrases",
    version=1,
    knobs=NounKnobs,
    needs=(REFERENCES,),
    kinds=frozenset({"spacy", "parquet"}),
    description="The key noun of every expression by the noun rule (S+S+C spec 2.1), or nltk's chunks, or the whole"
    " noun chunk.",
)
PROJECTED_CLASSES = Stage(
    name="projected_classes",
    body="assets.ssc.projected_classes:projected_classes",
    version=1,
    knobs=ProjectionKnobs,
    needs=(REFERENCES, NOUN_PHRASES),
    kinds=COMPUTED,
    description="Nouns to classes by CLIP's text tower (S+S+C spec 2.3), then each referent's classes by vote over "
    "its expressions (S+S+C spec 2.4).",
)
CANDIDATE_MASKS = Stage(
    name="candidate_masks",
    body="assets.ssc.candidate_masks:candidate_masks",
    imported="assets.ssc.imported_masks:import_fingerprint",
    version=1,
    knobs=CandidateKnobs,
    needs=(REFERENCES, PROJECTED_CLASSES),
    gpu=True,
    kinds=COMPUTED,
    description="S1: one detector query per image with the classes of all its referents, one SAM mask per box "
    "(S+S+C spec 2.5, 2.6). Masks are kept whole and may overlap; each carries its class, box and both "
    "scores. Other sources are SAM's automatic masks, in each box (S+S+C spec 2.10) or of the whole "
    "image (S+S+C spec 3.6), and the imported masks of a teacher.",
)
MASK_CHOICES = Stage(
    name="mask_choices",
    body="assets.ssc.mask_choices:mask_choices",
    imported="assets.ssc.imported_masks:import_fingerprint",
    version=1,
    knobs=ChoiceKnobs,
    needs=(REFERENCES, PROJECTED_CLASSES, CANDIDATE_MASKS),
    also_needs=choice_needs,
    gpu=True,
    kinds=COMPUTED,
    description="S2: for each referent the candidate that CLIP finds most similar to its expressions under reverse "
    "blur (Eq. 1, S+S+C spec 3). Or as GL-CLIP finds it, by the candidate in its image and cut out "
    "(S+S+C spec 3.6). Or the candidate that a teacher's imported masks overlap most. With `reviews: on`"
    " persons' decisions go before the rule; their rows are supervised, and say so.",
)
CHOICE_SCORES = Stage(
    name="choice_scores",
    body="assets.evaluation.choice_scores:choice_scores",
    version=2,
    knobs=ScoreKnobs,
    needs=(REFERENCES, NOUN_PHRASES, PROJECTED_CLASSES, CANDIDATE_MASKS, MASK_CHOICES, GROUND_TRUTH),
    description="S+S, its bounds and its text stages: chosen, random, first and oracle masks per expression and per"
    " referent, on the scored splits and on the first 1,000 references of the training splits, as the "
    "papers do.",
)
GROUNDED_MASKS = Stage(
    name="grounded_masks",
    body="assets.ssc.grounded_masks:grounded_masks",
    version=1,
    knobs=GroundedKnobs,
    needs=(REFERENCES,),
    gpu=True,
    kinds=COMPUTED,
    description='Baseline "G-DINO + SAM": SAM\'s best mask of the most confident box for the expression itself '
    "(S+S+C spec 3.6).",
)
GROUNDED_SCORES = Stage(
    name="grounded_scores",
    body="assets.evaluation.choice_scores:grounded_scores",
    version=2,
    knobs=ScoreKnobs,
    needs=(REFERENCES, GROUNDED_MASKS, GROUND_TRUTH),
    description='The baseline "G-DINO + SAM" against ground truth, per expression at the image\'s own resolution.',
)
ZS_BOOTSTRAP = training(
    "zs_bootstrap",
    body="assets.ssc.train:zs_bootstrap",
    version=2,
    knobs=BootstrapKnobs,
    needs=(REFERENCES, MASK_CHOICES),
    description="ZSBootstrap: LAVT trained on the chosen masks with weighted cross-entropy (S+S+C spec 4.7-4.9). "
    "Resumes from its last checkpoint with the weights that an undisturbed run would have. The last "
    "epoch is kept, which needs no ground truth; `best_on_val` is the authors' way, and the report says"
    " when it was used.",
)
CORRECTED = training(
    "corrected",
    body="assets.ssc.train:corrected",
    version=1,
    knobs=CorrectKnobs,
    needs=(REFERENCES, CANDIDATE_MASKS, MASK_CHOICES, ZS_BOOTSTRAP),
    description="S+S+C: training goes on from ZSBootstrap over all candidates, matched anew at every step (Eq. 3, "
    "S+S+C spec 4.10). The rule `chosen` keeps training on the chosen masks instead, the paper's \"+40 "
    'epochs". Resumes as ZSBootstrap does.',
)
SUPERVISED = training(
    "supervised",
    body="assets.ssc.train:supervised",
    version=1,
    knobs=SupervisedKnobs,
    needs=(REFERENCES, GROUND_TRUTH),
    also_needs=nothing_more,
    description="Fully supervised LAVT, trained on ground-truth masks: the upper bound of every table, and never an"
    " input of another model.",
)
CORRECTED_LABELS = Stage(
    name="corrected_labels",
    body="assets.ssc.corrected_labels:corrected_labels",
    version=1,
    knobs=LabelKnobs,
    needs=(REFERENCES, CANDIDATE_MASKS, MASK_CHOICES, CORRECTED),
    gpu=True,
    kinds=COMPUTED,
    description="The candidate that S+S+C gives to every training referent in the end: one more matching by the "
    "trained model, constrained and by default greedy (S+S+C Eq. 3), with all expressions of a referent, "
    "whatever rule the model was trained by; a referent whose candidates are all taken has no label.",
)
DISTILLED = training(
    "distilled",
    body="assets.ssc.train:distilled",
    version=1,
    knobs=TrainingKnobs,
    needs=(REFERENCES, CORRECTED, CORRECTED_LABELS),
    description="Beyond the papers: the corrected model goes on on what matching gave last (`corrected_labels`), with "
    "weighted cross-entropy as ZSBootstrap. No ground-truth mask is read. Resumes as ZSBootstrap does.",
)
SEGMENTERS = (
    referring_segmenter(ZS_BOOTSTRAP, "ZSBootstrap", prefix="", scores_version=2),
    referring_segmenter(CORRECTED, "S+S+C", prefix="corrected_", scores_version=2),
    referring_segmenter(DISTILLED, "S+S+C, distilled", prefix="distilled_"),
    referring_segmenter(SUPERVISED, "supervised", prefix="supervised_", scores_version=2),
)
STAGES = (
    NOUN_PHRASES,
    PROJECTED_CLASSES,
    CANDIDATE_MASKS,
    MASK_CHOICES,
    CHOICE_SCORES,
    GROUNDED_MASKS,
    GROUNDED_SCORES,
    ZS_BOOTSTRAP,
    CORRECTED,
    SUPERVISED,
    CORRECTED_LABELS,
    DISTILLED,
)
