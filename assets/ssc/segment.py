"""Segment: nouns of every sentence, their classes, and the candidate masks of every image (S1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from assets.data.tables import ImageRecord, Mask, Pixels, Referent, images_of, on_image, referents_of
from assets.framework.stage import Outcome, Work
from assets.knobs_old import CandidateKnobs, GroundedKnobs, NounKnobs, ProjectionKnobs
from assets.reports.previews import candidate_preview
from storage.digest import digest
from storage.masks import mask_row
from storage.rows import Quarantined, Rows, Tally, Unit, fill_table
from storage.tables import column, read_table, write_table

if TYPE_CHECKING:
    from resources.models.grounding_dino import Detector
    from resources.models.sam import Segmenter

NOUNS = pa.schema(
    [
        column("expression", pa.string(), "sentence"),
        column("nouns", pa.list_(pa.string()), "extracted nouns, in order"),
    ]
)
PROJECTIONS = pa.schema(
    [
        column("noun", pa.string(), "noun as extracted"),
        column("label", pa.string(), "class it is taken for"),
        column("similarity", pa.float32(), "cosine of the two prompts; null when not projected", nullable=True),
    ]
)
QUERIES = pa.schema(
    [
        column("ref_id", pa.int64(), "reference"),
        column("image_id", pa.string(), "image"),
        column("query", pa.list_(pa.string()), "what the detector is asked for on behalf of this object"),
        column("classes", pa.list_(pa.string()), "classes whose masks are this object's candidates"),
    ]
)
CANDIDATES = pa.schema(
    [
        column("image_id", pa.string(), "image"),
        column("candidate", pa.int32(), "number of the candidate in its image"),
        column("label", pa.string(), "class it was detected as; empty for masks of no class"),
        column("x0", pa.float32(), "left edge of the box, pixels", nullable=True),
        column("y0", pa.float32(), "upper edge", nullable=True),
        column("x1", pa.float32(), "right edge", nullable=True),
        column("y1", pa.float32(), "lower edge", nullable=True),
        column("detector_score", pa.float32(), "best token score of the class", nullable=True),
        column("segmenter_score", pa.float32(), "predicted IoU of the mask"),
        column("area", pa.int64(), "pixels; 0: nothing was found in the box, which is no candidate"),
        column("rle", pa.binary(), "mask, COCO run-length encoding; masks may overlap"),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)
GROUNDED = pa.schema(
    [
        column("sent_id", pa.int64(), "expression"),
        column("detector_score", pa.float32(), "of the most confident box"),
        column("rle", pa.binary(), "mask at the image's size, COCO run-length encoding"),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)


def noun_phrases(work: Work) -> Outcome:
    """The key noun of every sentence by the noun rule (S+S+C spec 2.1), or nltk's chunks, or the whole noun chunk."""
    from ops.ssc.nouns import noun_phrases as extract
    from resources.models.loading import open_parser
    from resources.models.spacy_parser import parse_all

    knobs = work.knobs_as(NounKnobs)
    parser = open_parser(knobs.parser)

    def rows(batch: Sequence[str]) -> list[Rows | Quarantined]:
        found = extract(batch, lambda texts: parse_all(parser, texts), rule=knobs.rule, compat=knobs.compat)
        return [[{"expression": text, "nouns": nouns}] for text, nouns in zip(batch, found, strict=True)]

    sentences = work.inputs["references"].table("expressions")["expression"].unique().to_pylist()
    units = [Unit(key=digest(text), payload=text) for text in sentences]
    tally = fill_table(work.slot, "nouns", units, rows, schema=NOUNS, shard=2000, reuse=work.reuse, log=work.log)
    silent = sum(not nouns for nouns in read_table(work.slot.content / "nouns.parquet")["nouns"].to_pylist())
    return Outcome(tallies={"nouns": tally}, metrics={"sentences without a noun": silent})


def projected_classes(work: Work) -> Outcome:
    """Nouns to classes by CLIP's text tower (spec 2.3), then each object's classes by vote over its sentences (2.4)."""
    from ops.ssc.class_projection import vote

    knobs = work.knobs_as(ProjectionKnobs)
    nouns = {row["expression"]: row["nouns"] for row in work.inputs["noun_phrases"].table("nouns").to_pylist()}
    label_of = _project(work, knobs, sorted({noun for found in nouns.values() for noun in found}))
    rows = []
    for one in referents_of(work.inputs["references"]):
        classes = [label_of[noun] for sentence in one.sentences for noun in nouns[sentence]]
        query = vote(classes, rule=knobs.vote)
        seen = list(dict.fromkeys(classes)) or query
        rows.append({"ref_id": one.ref_id, "image_id": one.image_id, "query": query, "classes": seen})
    write_table(work.slot.content / "queries.parquet", pa.Table.from_pylist(rows, schema=QUERIES))
    tally = Tally.computed_anew(len(rows))
    return Outcome(tallies={"queries": tally}, metrics={"different nouns": len(label_of)})


def candidate_masks(work: Work) -> Outcome:
    """S1: one detector query per image with the classes of all its objects, one SAM mask per box (spec 2.5, 2.6).

    Masks are kept whole and may overlap; each carries its class, box and both scores. Other sources are SAM's automatic
    masks, in each box (spec 2.10) or of the whole image (spec 3.6).
    """
    knobs = work.knobs_as(CandidateKnobs)
    images = images_of(work.inputs["references"])
    asked: dict[str, set[str]] = {}
    for row in work.inputs["projected_classes"].table("queries").to_pylist():
        asked.setdefault(row["image_id"], set()).update(row["query"])
    find = _finder(work, knobs)

    def rows(batch: Sequence[ImageRecord]) -> list[Rows | Quarantined]:
        return [on_image(work, image, partial(find, image.image_id, sorted(asked[image.image_id]))) for image in batch]

    units = [
        Unit(key=digest([image.image_id, image.sha256, sorted(asked[image.image_id])]), payload=image)
        for image in images.values()
        if image.image_id in asked
    ]
    tally = fill_table(
        work.slot,
        "candidates",
        units,
        rows,
        schema=CANDIDATES,
        shard=work.runtime.shard,
        reuse=work.reuse,
        log=work.log,
    )
    areas = read_table(work.slot.content / "candidates.parquet", columns=["area"])["area"].to_pylist()
    empty = areas.count(0)
    return Outcome(
        tallies={"candidates": tally},
        metrics={
            "candidates per image": (tally.rows - empty) / len(units),
            **({"boxes without a mask": empty} if knobs.source == "crop" else {}),
        },
        preview=candidate_preview(work),
    )


def grounded_masks(work: Work) -> Outcome:
    """Baseline "G-DINO + SAM": SAM's best mask of the most confident box for the expression itself (spec 3.6)."""
    from resources.models.loading import open_detector, open_segmenter

    knobs = work.knobs_as(GroundedKnobs)
    images = images_of(work.inputs["references"])
    masks = partial(
        _grounded, open_detector(knobs.detector, work.runtime), open_segmenter(knobs.segmenter, work.runtime), work.log
    )

    def rows(batch: Sequence[Referent]) -> list[Rows | Quarantined]:
        return [on_image(work, images[one.image_id], partial(masks, one)) for one in batch]

    units = [
        Unit(key=digest([one.ref_id, images[one.image_id].sha256, one.sent_ids, one.sentences]), payload=one)
        for one in referents_of(work.inputs["references"], splits=work.instance.source.evaluate)
    ]
    tally = fill_table(
        work.slot, "masks", units, rows, schema=GROUNDED, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )
    return Outcome(tallies={"masks": tally})


def _grounded(
    detector: Detector, segmenter: Segmenter, log: Callable[[str], None], one: Referent, pixels: Pixels
) -> Rows:
    """A mask for each sentence of an object; an empty one for a sentence without words."""
    from ops.ssc.detections import best_of_three, expression_caption, token_spans, top_box

    rows = []
    for sent_id, sentence in zip(one.sent_ids, one.sentences, strict=True):
        score, mask = 0.0, np.zeros(pixels.shape[:2], np.bool_)
        try:
            caption = expression_caption(sentence)
        except ValueError as problem:
            log(f"an empty mask for sentence {sent_id}: {problem}")
        else:
            raw = detector.detect(pixels, caption.text)
            box, score = top_box(raw.boxes_Q4, raw.token_scores_QT, token_spans(raw.offsets, caption.spans))
            mask = best_of_three(*segmenter.segment(pixels, box[None]))[0][0]
        rows.append({"sent_id": sent_id, "detector_score": score, **mask_row(mask)})
    return rows


def _project(work: Work, knobs: ProjectionKnobs, nouns: Sequence[str]) -> dict[str, str]:
    """Noun -> class, and the `projections` table that shows it."""
    from ops.ssc.class_projection import project
    from resources.models.loading import open_clip_model

    rows: Rows
    if knobs.project:
        clip = open_clip_model(knobs.clip, work.runtime)
        found = project(nouns, label_set(knobs), clip.encode_texts)
        rows = [{"noun": one.noun, "label": one.label, "similarity": one.similarity} for one in found]
    else:
        rows = [{"noun": noun, "label": noun, "similarity": None} for noun in nouns]
    write_table(work.slot.content / "projections.parquet", pa.Table.from_pylist(rows, schema=PROJECTIONS))
    return {row["noun"]: row["label"] for row in rows}


def label_set(knobs: ProjectionKnobs) -> Sequence[str]:
    """The classes that nouns are projected to."""
    if knobs.labels == "coco80":
        from ops.ssc.class_projection import COCO_80

        return COCO_80
    if knobs.labels == "toyref":
        from resources.toyref.scenes import CLASSES

        return CLASSES
    return knobs.labels


def _finder(work: Work, knobs: CandidateKnobs) -> Callable[[str, Sequence[str], Pixels], Rows]:
    """(image id, classes, pixels) -> candidate rows, by detector and SAM or by SAM alone (`knobs.source`)."""
    from ops.ssc.detections import best_of_three, caption, keep_detections, mask_nms, token_spans
    from resources.models.loading import open_detector, open_segmenter

    segmenter = open_segmenter(knobs.segmenter, work.runtime)
    if knobs.source == "everything":

        def everything(image_id: str, _: Sequence[str], pixels: Pixels) -> Rows:
            found = zip(*segmenter.automatic(pixels), strict=True)
            return [
                _candidate(image_id, number, mask, segmenter_score=score) for number, (mask, score) in enumerate(found)
            ]

        return everything
    detector = open_detector(knobs.detector, work.runtime)

    def detected(image_id: str, classes: Sequence[str], pixels: Pixels) -> Rows:
        asked = caption(classes)
        raw = detector.detect(pixels, asked.text)
        found = keep_detections(
            raw.boxes_Q4,
            raw.token_scores_QT,
            token_spans(raw.offsets, asked.spans),
            box_threshold=knobs.box_threshold,
            text_threshold=knobs.text_threshold,
        )
        if not len(found.boxes_N4):
            return []
        if knobs.source == "crop":
            masks, scores = segmenter.inside(pixels, found.boxes_N4)
        else:
            masks, scores = best_of_three(*segmenter.segment(pixels, found.boxes_N4))
        kept = mask_nms(masks, found.scores_N, iou_threshold=knobs.nms_iou, class_ids_N=found.class_ids_N)
        return [
            _candidate(
                image_id,
                number,
                masks[row],
                label=asked.classes[found.class_ids_N[row]],
                box=found.boxes_N4[row],
                detector_score=found.scores_N[row],
                segmenter_score=scores[row],
            )
            for number, row in enumerate(kept)
        ]

    return detected


def _candidate(
    image_id: str,
    number: int,
    mask: Mask,
    *,
    segmenter_score: float,
    label: str = "",
    box: Sequence[float] | None = None,
    detector_score: float | None = None,
) -> dict[str, object]:
    x0, y0, x1, y1 = (None,) * 4 if box is None else (float(edge) for edge in box)
    return {
        "image_id": image_id,
        "candidate": number,
        "label": label,
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "detector_score": None if detector_score is None else float(detector_score),
        "segmenter_score": float(segmenter_score),
        "area": int(mask.sum()),
        **mask_row(mask),
    }
