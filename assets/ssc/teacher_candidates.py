"""S1 by a teacher: its imported masks of an image, without those that show what a better scored one shows.

Shapes: N masks of an image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import ImageRow, images_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import candidate_preview
from assets.ssc.imported_masks import key_of, of_images, require_size, stacked, teacher_masks
from assets.ssc.knobs import CandidateKnobs
from assets.ssc.tables import CANDIDATES, CandidateRow
from ops.ssc.captions import canonical_name
from ops.ssc.detections import mask_nms
from resources.teachers.records import TeacherMask
from storage.digest import digest

MakeRow = Callable[..., CandidateRow]
"""`assets.ssc.candidate_masks.candidate_row`."""


def candidates_of_teacher(work: Work, asked: Mapping[str, Sequence[str]], row: MakeRow) -> Outcome:
    """The masks of the import that the knobs name; `asked` are the classes of each image's referents."""
    given = of_images(teacher_masks(work)[1])
    images = [image for image in images_of(work).values() if image.image_id in asked]
    offered = [Offered(image=image, masks=given.get(image.image_id, [])) for image in images]
    tasks = [
        ImageTask(image=one.image, payload=one, key=digest([one.key, list(asked[one.image.image_id])]))
        for one in offered
    ]
    tally = per_image(work, CANDIDATES, tasks, partial(open_distinct, row=row))
    return Outcome(
        tallies={"candidates": tally},
        metrics={
            "candidates per image": tally.rows / len(tasks),
            "images without a mask of the teacher": sum(not one.masks for one in offered),
            "masks of a class nobody asks for": sum(one.foreign(asked[one.image.image_id]) for one in offered),
        },
        preview=candidate_preview(work, CANDIDATES.slot_rows(work.slot)),
    )


def open_distinct(work: Work, *, row: MakeRow) -> "Distinct":
    """The rule of the knobs."""
    return Distinct(nms_iou=work.knobs_as(CandidateKnobs).nms_iou, row=row)


@dataclass(frozen=True, kw_only=True)
class Offered:
    """An image and the teacher's masks of it."""

    image: ImageRow
    masks: Sequence[TeacherMask]

    @property
    def key(self) -> str:
        """Digest of what the candidates depend on, but for knobs."""
        return digest([self.image.image_id, self.image.sha256, key_of(self.masks)])

    def foreign(self, classes: Sequence[str]) -> int:
        """Masks of a class that is none of the given ones, which are no referent's candidates."""
        wanted = {"", *map(canonical_name, classes)}
        return sum(canonical_name(one.label) not in wanted for one in self.masks)


@dataclass(frozen=True, kw_only=True)
class Distinct:
    """The masks of an image that are left after suppression of duplicates of one class."""

    nms_iou: float
    row: MakeRow

    def __call__(self, offered: Offered, _: Pixels) -> list[CandidateRow]:
        """Best scores first; those without a score are last, in the teacher's order, and have 0."""
        given = offered.masks
        require_size(given, offered.image)
        if not given:
            return []
        masks, labels = stacked(given), [canonical_name(one.label) for one in given]
        scores_N = np.array([one.score or 0.0 for one in given], np.float32)
        classes_N = np.array([labels.index(label) for label in labels])
        kept = mask_nms(masks, scores_N, iou_threshold=self.nms_iou, class_ids_N=classes_N)
        return [
            self.row(offered.image.image_id, number, masks[row], label=labels[row], segmenter_score=scores_N[row])
            for number, row in enumerate(kept)
        ]
