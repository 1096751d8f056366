"""S1: the candidate masks of every image, from detector and SAM, from SAM alone, or from SAM 3 by the class."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.data.images import ImageTask, Mask, Pixels, per_image
from assets.data.tables import ImageRow, images_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import candidate_preview
from assets.ssc.knobs import CandidateKnobs
from assets.ssc.stages import PROJECTED_CLASSES
from assets.ssc.tables import CANDIDATES, QUERIES, REWORDED, CandidateRow, RewordedRow
from ops.ssc.detections import Detections, best_of_three, mask_nms
from resources.models.concepts import ConceptSegmenter
from resources.models.detection import Detector, Thresholds
from resources.models.loading import open_concepts, open_detector, open_segmenter
from resources.models.segmentation import Segmenter
from storage.digest import digest
from storage.masks import Rle


def candidate_masks(work: Work) -> Outcome:
    """One query an image, with the classes of all its referents; masks are kept whole and may overlap."""
    knobs = work.knobs_as(CandidateKnobs)
    asked: dict[str, set[str]] = {}
    for row in QUERIES.read(work.input(PROJECTED_CLASSES)):
        asked.setdefault(row.image_id, set()).update(row.query)
    tasks = [
        _task(image, sorted(asked[image.image_id])) for image in images_of(work).values() if image.image_id in asked
    ]
    find = candidate_finder(work, knobs)
    tally = per_image(work, CANDIDATES, tasks, find)
    rows = CANDIDATES.read_slot(work.slot)
    changed = [] if isinstance(find, Everything) else find.reworded([task.payload for task in tasks])
    if changed:
        REWORDED.write(work.slot, changed)
        work.log(f"{len(changed)} classes were asked for in other words or not at all; see the table `reworded`")
    empty = [row.area for row in rows].count(0)
    return Outcome(
        tallies={"candidates": tally},
        metrics={
            "candidates per image": (tally.rows - empty) / len(tasks),
            **({"boxes without a mask": empty} if knobs.source == "crop" else {}),
            **({"reworded classes": len(changed)} if changed else {}),
        },
        preview=candidate_preview(work, rows),
    )


@dataclass(frozen=True, kw_only=True)
class Query:
    """An image and the classes that it is searched for."""

    image_id: str
    classes: Sequence[str]


def _task(image: ImageRow, classes: list[str]) -> ImageTask[Query]:
    key = digest([image.image_id, image.sha256, classes])
    return ImageTask(image=image, payload=Query(image_id=image.image_id, classes=classes), key=key)


def candidate_finder(work: Work, knobs: CandidateKnobs) -> "Everything | Detected | OfConcepts":
    """What finds the candidates of an image, by `knobs.source`."""
    if knobs.source == "concept":
        return OfConcepts(concepts=open_concepts(knobs.segmenter, work.runtime), knobs=knobs)
    segmenter = open_segmenter(knobs.segmenter, work.runtime)
    if knobs.source == "everything":
        return Everything(segmenter)
    return Detected(detector=open_detector(knobs.detector, work.runtime), segmenter=segmenter, knobs=knobs)


@dataclass(frozen=True)
class Everything:
    """SAM's automatic masks of the whole image, of no class (baseline "SAM + Select", S+S+C spec 3.6)."""

    segmenter: Segmenter

    def __call__(self, query: Query, pixels: Pixels) -> list[CandidateRow]:
        """All of them, whatever the query."""
        masks = zip(*self.segmenter.automatic(pixels), strict=True)
        return [
            candidate_row(query.image_id, number, mask, segmenter_score=score)
            for number, (mask, score) in enumerate(masks)
        ]


@dataclass(frozen=True, kw_only=True)
class Detected:
    """Boxes of the query's classes, and SAM's mask in each of them (S+S+C spec 2.5, 2.6; for `crop` 2.10)."""

    detector: Detector
    segmenter: Segmenter
    knobs: CandidateKnobs

    def __call__(self, query: Query, pixels: Pixels) -> list[CandidateRow]:
        """The masks that are left after suppression of duplicates, best scores first."""
        thresholds = Thresholds(box=self.knobs.box_threshold, text=self.knobs.text_threshold)
        found = self.detector.detect(pixels, query.classes, thresholds)
        boxes_N4 = found.detections.boxes_N4
        if not len(boxes_N4):
            return []
        if self.knobs.source == "crop":
            masks, scores = self.segmenter.inside(pixels, boxes_N4)
        else:
            masks, scores = best_of_three(*self.segmenter.segment(pixels, boxes_N4))
        return kept_rows(query, found.classes, found.detections, masks, scores, nms_iou=self.knobs.nms_iou)

    def reworded(self, queries: Sequence[Query]) -> list[RewordedRow]:
        """The classes of all queries that the detector is not asked for as they are, in alphabetical order."""
        return reworded_rows(self.detector, queries)


@dataclass(frozen=True, kw_only=True)
class OfConcepts:
    """Masks of the query's classes by SAM 3, which needs no boxes."""

    concepts: ConceptSegmenter
    knobs: CandidateKnobs

    def __call__(self, query: Query, pixels: Pixels) -> list[CandidateRow]:
        """The masks that are left after suppression of duplicates, best scores first."""
        found = self.concepts.find(pixels, query.classes, threshold=self.knobs.box_threshold)
        scores = found.detections.scores_N
        return kept_rows(query, found.classes, found.detections, found.masks_NHW, scores, nms_iou=self.knobs.nms_iou)

    def reworded(self, queries: Sequence[Query]) -> list[RewordedRow]:
        """The classes of all queries that SAM 3 is not asked for as they are, in alphabetical order."""
        return reworded_rows(self.concepts, queries)


def kept_rows(
    query: Query,
    classes: Sequence[str],
    detections: Detections,
    masks_NHW: NDArray[np.bool_],
    scores: NDArray[np.float32],
    *,
    nms_iou: float,
) -> list[CandidateRow]:
    """Rows of detected masks, without those that repeat a better one of their class (S+S+C spec 2.6)."""
    kept = mask_nms(masks_NHW, detections.scores_N, iou_threshold=nms_iou, class_ids_N=detections.class_ids_N)
    return [
        candidate_row(
            query.image_id,
            number,
            masks_NHW[row],
            label=classes[detections.class_ids_N[row]],
            box=detections.boxes_N4[row],
            detector_score=detections.scores_N[row],
            segmenter_score=scores[row],
        )
        for number, row in enumerate(kept)
    ]


def reworded_rows(names: Detector | ConceptSegmenter, queries: Sequence[Query]) -> list[RewordedRow]:
    """What becomes of classes, and in how many images."""
    images = Counter(name for query in queries for name in set(query.classes))
    return [
        RewordedRow(label=name, asked=changed.asked, reason=changed.reason, images=images[name])
        for name, changed in sorted(names.reworded(images).items())
    ]


def candidate_row(
    image_id: str,
    number: int,
    mask: Mask,
    *,
    segmenter_score: float,
    label: str = "",
    box: Iterable[float] | None = None,
    detector_score: float | None = None,
) -> CandidateRow:
    """A row of the table `candidates`."""
    x0, y0, x1, y1 = (None,) * 4 if box is None else (float(edge) for edge in box)
    return CandidateRow(
        image_id=image_id,
        candidate=number,
        label=label,
        x0=x0,
        y0=y0,
        x1=x1,
        y1=y1,
        detector_score=None if detector_score is None else float(detector_score),
        segmenter_score=float(segmenter_score),
        area=int(mask.sum()),
        **Rle.of(mask).columns(),
    )
