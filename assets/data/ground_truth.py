"""Ground-truth masks, apart from everything else: only evaluation and fully supervised models read them."""

from assets.data.dataset_index import require_unchanged
from assets.data.knobs import GroundTruthKnobs
from assets.data.references import write_quarantine
from assets.data.stages import DATASET_INDEX
from assets.data.tables import OBJECTS, GroundTruthRow
from assets.framework.stage import Outcome
from assets.framework.work import Work
from resources.datasets.ground_truth import ground_truth_mask
from storage.masks import Rle
from storage.rows import Tally


def ground_truth(work: Work) -> Outcome:
    """The masks and categories of all annotated objects."""
    knobs = work.knobs_as(GroundTruthKnobs)
    truths, lost = work.dataset.ground_truth()
    rows = (
        GroundTruthRow(
            object_id=truth.object_id,
            image_id=truth.image_id,
            category=truth.category,
            **Rle.of(ground_truth_mask(truth, overlap=knobs.overlap)).columns(),
        )
        for truth in {truth.object_id: truth for truth in truths}.values()
    )
    count = OBJECTS.write(work.slot, rows)
    write_quarantine(work, lost)
    require_unchanged(work.instance, work.input(DATASET_INDEX))
    return Outcome(tallies={"objects": Tally.computed_anew(count, quarantined=len(lost))})
