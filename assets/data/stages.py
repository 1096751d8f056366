"""The data set enters: what lies there, which rows can be used, and, apart from everything else, ground truth."""

from assets.data.knobs import GroundTruthKnobs
from assets.framework.knobs import NoKnobs
from assets.framework.stage import Stage

DATASET_INDEX = Stage(
    name="dataset_index",
    body="assets.data.dataset_index:dataset_index",
    raw="assets.data.dataset_index:raw_fingerprint",
    version=1,
    knobs=NoKnobs,
    description="What lies in the raw data: images, referents and expressions per split. Its data version is a hash"
    " of the content.",
)
REFERENCES = Stage(
    name="references",
    body="assets.data.references:references",
    version=1,
    knobs=NoKnobs,
    needs=(DATASET_INDEX,),
    description="Every usable (image, expression) pair; every image was decoded once. What cannot be used is in the"
    " table `quarantine`, with its reason.",
)
GROUND_TRUTH = Stage(
    name="ground_truth",
    body="assets.data.ground_truth:ground_truth",
    version=1,
    knobs=GroundTruthKnobs,
    needs=(DATASET_INDEX,),
    description="Ground-truth masks and categories, for evaluation only: no weakly supervised model reads them.",
)
STAGES = (DATASET_INDEX, REFERENCES, GROUND_TRUTH)
