"""S1: the candidate masks of every image, from detector and SAM, from SAM alone, or from a teacher."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

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
from ops.ssc.captions import Caption, Question, question, reworded, token_spans
from ops.ssc.detections import Detections, best_of_three, keep_detections, mask_nms, together
from resources.models.grounding_dino import CAPTION_TOKENS, Detector
from resources.models.loading import open_detector, open_segmenter
from resources.models.sam import Segmenter
from resources.runtime import Runtime
from storage.digest import digest
from storage.masks import Rle


def candidate_masks(work: Work) -> Outcome:
    """One query an image, with the classes of all its referents; masks are kept whole and may overlap."""
    knobs = work.knobs_as(CandidateKnobs)
    asked = asked_of(QUERIES.read(work.input(PROJECTED_CLASSES)))
    if knobs.imports:
        return candidates_of_teacher(work, asked, candidate_row)
    tasks = [_task(image, asked[image.image_id]) for image in images_of(work).values() if image.image_id in asked]
    find = candidate_finder(knobs, work.runtime)
    tally = per_image(work, CANDIDATES, tasks, find)
    rows = CANDIDATES.read_slot(work.slot)
    changed = find.reworded([task.payload for task in tasks]) if isinstance(find, Detected) else []
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


Find = Callable[[Query, Pixels], list[CandidateRow]]


def _task(image: ImageRow, classes: list[str]) -> ImageTask[Query]:
    key = digest([image.image_id, image.sha256, classes])
    return ImageTask(image=image, payload=Query(image_id=image.image_id, classes=classes), key=key)


def asked_of(queries: Iterable[QueryRow]) -> dict[str, list[str]]:
    """Image id -> the classes of all its referents, in alphabetical order: what the detector is asked for at once."""
    asked: dict[str, set[str]] = {}
    for row in queries:
        asked.setdefault(row.image_id, set()).update(row.query)
    return {image_id: sorted(classes) for image_id, classes in asked.items()}


def candidate_finder(knobs: CandidateKnobs, runtime: Runtime) -> Find:
    """What finds the candidates of an image, by `knobs.source`."""
    if knobs.imports:
        raise Refused(
            f"the masks of {knobs.teacher} were imported for their own images; this one needs a trained model"
        )
    segmenter = open_segmenter(knobs.segmenter, runtime)
    if knobs.source == "everything":
        return Everything(segmenter)
    return Detected(detector=open_detector(knobs.detector, runtime), segmenter=segmenter, knobs=knobs)


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
        knobs, asked = self.knobs, self._question(query.classes)
        parts = [self._found(asked_together, pixels) for asked_together in asked.captions]
        if not any(len(part.boxes_N4) for part in parts):
            return []
        detections = together(parts, [len(asked_together.classes) for asked_together in asked.captions])
        if knobs.source == "crop":
            masks, scores = self.segmenter.inside(pixels, detections.boxes_N4)
        else:
            masks, scores = best_of_three(*self.segmenter.segment(pixels, detections.boxes_N4))
        kept = mask_nms(masks, detections.scores_N, iou_threshold=knobs.nms_iou, class_ids_N=detections.class_ids_N)
        return [
            candidate_row(
                query.image_id,
                number,
                masks[row],
                label=asked.classes[detections.class_ids_N[row]],
                box=detections.boxes_N4[row],
                detector_score=detections.scores_N[row],
                segmenter_score=scores[row],
            )
            for number, row in enumerate(kept)
        ]

    def reworded(self, queries: Sequence[Query]) -> list[RewordedRow]:
        """The classes of all queries that the detector is not asked for as they are, in alphabetical order."""
        images = Counter(name for query in queries for name in set(query.classes))
        changes = reworded(images, self._question(images))
        return [
            RewordedRow(label=name, asked=changed.asked, reason=changed.reason, images=images[name])
            for name, changed in sorted(changes.items())
        ]

    def _question(self, classes: Iterable[str]) -> Question:
        return question(classes, tokens=self.detector.tokens, at_most=CAPTION_TOKENS)

    def _found(self, asked: Caption, pixels: Pixels) -> Detections:
        raw = self.detector.detect(pixels, asked.text)
        return keep_detections(
            raw.boxes_Q4,
            raw.token_scores_QT,
            token_spans(raw.offsets, asked.spans),
            box_threshold=self.knobs.box_threshold,
            text_threshold=self.knobs.text_threshold,
        )


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
