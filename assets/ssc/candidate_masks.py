"""S1: candidate masks of every image: by detector and SAM, SAM alone, SAM 3 by the class, or from a teacher."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from assets.data.images import ImageTask, Mask, Pixels, per_image
from assets.data.tables import ImageRow, images_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import candidate_preview
from assets.ssc.knobs import CandidateKnobs
from assets.ssc.stages import PROJECTED_CLASSES
from assets.ssc.tables import CANDIDATES, QUERIES, REWORDED, CandidateRow, QueryRow, RewordedRow
from assets.ssc.teacher_candidates import candidates_of_teacher
from ops.refusal import Refused
from ops.ssc.detections import Detections, best_of_three, mask_nms
from resources.models.batches import passes
from resources.models.concepts import ConceptSegmenter
from resources.models.detection import Detector, Found, Thresholds
from resources.models.loading import open_concepts, open_detector, open_segmenter
from resources.models.refs import ModelRef
from resources.models.segmentation import Masks, Segmenter
from resources.runtime import Runtime
from storage.digest import digest
from storage.masks import Rle


def candidate_masks(work: Work) -> Outcome:
    """One query an image, with the classes of all its referents; masks are kept whole and may overlap."""
    knobs = work.knobs_as(CandidateKnobs)
    asked = asked_of(QUERIES.rows(work.input(PROJECTED_CLASSES)))
    if knobs.imports:
        return candidates_of_teacher(work, asked, candidate_row)
    tasks = [_task(image, asked[image.image_id]) for image in images_of(work).values() if image.image_id in asked]
    tally = per_image(work, CANDIDATES, tasks, open_finder)
    find = work.once(open_finder)
    changed = [] if isinstance(find, Everything) else find.reworded([task.payload for task in tasks])
    if changed:
        REWORDED.write(work.slot, changed)
        work.log(f"{len(changed)} classes were asked for in other words or not at all; see the table `reworded`")
    empty = sum(not row.area for row in CANDIDATES.slot_rows(work.slot))
    return Outcome(
        tallies={"candidates": tally},
        metrics={
            "candidates per image": (tally.rows - empty) / len(tasks),
            **({"boxes without a mask": empty} if knobs.source == "crop" else {}),
            **({"reworded classes": len(changed)} if changed else {}),
        },
        preview=candidate_preview(work, CANDIDATES.slot_rows(work.slot)),
    )


@dataclass(frozen=True, kw_only=True)
class Query:
    """An image and the classes that it is searched for."""

    image_id: str
    classes: Sequence[str]


def _task(image: ImageRow, classes: list[str]) -> ImageTask[Query]:
    key = digest([image.image_id, image.sha256, classes])
    return ImageTask(image=image, payload=Query(image_id=image.image_id, classes=classes), key=key)


def asked_of(queries: Iterable[QueryRow]) -> dict[str, list[str]]:
    """Image id -> the classes of all its referents, in alphabetical order: what the detector is asked for at once."""
    asked: dict[str, set[str]] = {}
    for row in queries:
        asked.setdefault(row.image_id, set()).update(row.query)
    return {image_id: sorted(classes) for image_id, classes in asked.items()}


def open_finder(work: Work) -> "Everything | Detected | OfConcepts":
    """What finds the candidates of the stage that runs."""
    return candidate_finder(work.knobs_as(CandidateKnobs), work.runtime)


def candidate_finder(knobs: CandidateKnobs, runtime: Runtime) -> "Everything | Detected | OfConcepts":
    """What finds the candidates of an image, by `knobs.source`."""
    if knobs.imports:
        raise Refused(
            f"the masks of {knobs.teacher} were imported for their own images; this one needs a trained model"
        )
    if knobs.source == "concept":
        return OfConcepts(concepts=open_concepts(knobs.segmenter, runtime), knobs=knobs, runtime=runtime)
    segmenter = open_segmenter(knobs.segmenter, runtime)
    if knobs.source == "everything":
        return Everything(segmenter=segmenter, knobs=knobs, runtime=runtime)
    detector = open_detector(knobs.detector, runtime)
    return Detected(detector=detector, segmenter=segmenter, knobs=knobs, runtime=runtime)


@dataclass(frozen=True, kw_only=True)
class Everything:
    """SAM's automatic masks of the whole image, of no class (baseline "SAM + Select", S+S+C spec 3.6)."""

    segmenter: Segmenter
    knobs: CandidateKnobs
    runtime: Runtime

    def __call__(self, query: Query, pixels: Pixels) -> list[CandidateRow]:
        """All of them, whatever the query."""
        with passes(self.runtime, self.knobs.precision):
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
    runtime: Runtime = field(default_factory=Runtime)

    @property
    def at_once(self) -> int:
        """Images that share a pass; the embedded models take one at a time, so that none depends on its neighbours."""
        published = not any(
            ModelRef("detector", name).is_embedded for name in (self.knobs.detector, self.knobs.segmenter)
        )
        return self.runtime.batch() if published and self.knobs.source == "detector" else 1

    def __call__(self, query: Query, pixels: Pixels) -> list[CandidateRow]:
        """The masks that are left after suppression of duplicates, best scores first."""
        return self.several([(query, pixels)])[0]()

    def several(self, asked: Sequence[tuple[Query, Pixels]]) -> list[Callable[[], list[CandidateRow]]]:
        """The same for several images; of each, what gives its rows."""
        thresholds = Thresholds(box=self.knobs.box_threshold, text=self.knobs.text_threshold)
        images, classes = [pixels for _, pixels in asked], [query.classes for query, _ in asked]
        with passes(self.runtime, self.knobs.precision):
            found = self.detector.detect_batch(images, classes, thresholds)
            masks = self._masks(images, found)
        parts = zip(asked, found, masks, strict=True)
        return [partial(self._rows, query, detected, masks_of_it) for (query, _), detected, masks_of_it in parts]

    def _masks(self, images: Sequence[Pixels], found: Sequence[Found]) -> list[Masks]:
        """Of each image, a mask a box and its score."""
        boxes = [detected.detections.boxes_N4 for detected in found]
        if self.knobs.source == "crop":
            return [self.segmenter.inside(image, boxes_N4) for image, boxes_N4 in zip(images, boxes, strict=True)]
        return [best_of_three(*masks) for masks in self.segmenter.segment_batch(images, boxes)]

    def _rows(self, query: Query, found: Found, masks: Masks) -> list[CandidateRow]:
        return kept_rows(query, found.classes, found.detections, *masks, nms_iou=self.knobs.nms_iou)

    def reworded(self, queries: Sequence[Query]) -> list[RewordedRow]:
        """The classes of all queries that the detector is not asked for as they are, in alphabetical order."""
        return reworded_rows(self.detector, queries)


@dataclass(frozen=True, kw_only=True)
class OfConcepts:
    """Masks of the query's classes by SAM 3, which needs no boxes."""

    concepts: ConceptSegmenter
    knobs: CandidateKnobs
    runtime: Runtime = field(default_factory=Runtime)

    def __call__(self, query: Query, pixels: Pixels) -> list[CandidateRow]:
        """The masks that are left after suppression of duplicates, best scores first."""
        with passes(self.runtime, self.knobs.precision):
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
