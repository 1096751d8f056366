"""Simulated contents of a gallery: images with drawn masks, two choices, a label and predictions, without a model."""

from collections.abc import Iterable

import numpy as np

from assets.data.images import Pixels
from assets.data.tables import ExpressionRow, ImageRow
from assets.reports.gallery.reading import Candidates, Gallery, Masks, Method, ResponseSet
from assets.ssc.tables import CandidateRow, ChoiceRow
from storage.digest import digest
from storage.masks import Rle

HEIGHT, WIDTH = 96, 128
OBJECTS = 3
"""Referents of an image; each has as many expressions."""
COLOURS = ("red", "green", "blue", "dark", "bright", "small", "large")
THINGS = ("dog", "cup", "chair", "bird", "car")


def simulated(images: int, *, predictions: int = 1, truth: bool = True, seed: int = 0) -> Gallery:
    """A gallery of images with `OBJECTS**2` expressions each; the last image's referents have no candidate."""
    random = np.random.default_rng(seed)
    named = {str(number): _image(number) for number in range(images)}
    masks = {image: [_disc(random) for _ in range(OBJECTS)] for image in named}
    rows = [_row(image, thing, said, random) for image in named for thing in range(OBJECTS) for said in range(OBJECTS)]
    last = str(images - 1)
    candidates = {image: [_candidate(image, *each) for each in enumerate(masks[image])] for image in named}
    choices = {
        row.ref_id: _choice(row, [] if row.image_id == last else candidates[row.image_id], random) for row in rows
    }
    return Gallery(
        dataset="simulated",
        images=named,
        rows=rows,
        truth={row.sent_id: masks[row.image_id][row.ref_id % OBJECTS] for row in rows} if truth else {},
        classes={row.ref_id: THINGS[row.ref_id % len(THINGS)] for row in rows},
        candidates=[Candidates(name="candidates (S1)", of_image=candidates | {last: []})],
        responses=[
            ResponseSet(
                name="response map",
                maps_Nhw=random.normal(size=(len(rows), 3, 4)).astype(np.float16),
                row_of={row.sent_id: place for place, row in enumerate(rows)},
            )
        ],
        methods=[
            Method(
                name="choice (S2)",
                kind="choice",
                masks={row.sent_id: choices[row.ref_id].mask for row in rows},
                choices=choices,
                offered=0,
            ),
            *(_predictions(number, rows, random) for number in range(predictions)),
        ],
    )


def grey(image: ImageRow) -> Pixels:
    """Its pixels."""
    return np.full((image.height, image.width, 3), 40 + int(image.image_id) % 180, np.uint8)


def _image(number: int) -> ImageRow:
    return ImageRow(
        image_id=str(number),
        image_file=f"../{number}.jpg",
        width=WIDTH,
        height=HEIGHT,
        sha256=f"{int(digest(number), 16):064x}",
    )


def _row(image: str, thing: int, said: int, random: np.random.Generator) -> ExpressionRow:
    referent = int(image) * OBJECTS + thing
    words = f"{random.choice(COLOURS)} {THINGS[referent % len(THINGS)]}{' on the left' if said else ''}"
    return ExpressionRow(
        sent_id=referent * OBJECTS + said,
        ref_id=referent,
        object_id=str(referent),
        image_id=image,
        split="val" if int(image) % 2 else "train",
        expression=words,
        raw=words,
    )


def _disc(random: np.random.Generator) -> Rle:
    rows_HW, columns_HW = np.mgrid[:HEIGHT, :WIDTH]
    row, column, radius = random.integers(20, 76), random.integers(20, 108), random.integers(6, 20)
    return Rle.of((rows_HW - row) ** 2 + (columns_HW - column) ** 2 < radius**2)


def _candidate(image: str, number: int, mask: Rle) -> CandidateRow:
    return CandidateRow(
        image_id=image,
        candidate=number,
        label="thing",
        x0=None,
        y0=None,
        x1=None,
        y1=None,
        detector_score=0.5,
        segmenter_score=0.9,
        area=mask.area,
        rle=mask.counts,
        height=HEIGHT,
        width=WIDTH,
    )


def _choice(row: ExpressionRow, candidates: Iterable[CandidateRow], random: np.random.Generator) -> ChoiceRow:
    offered = list(candidates)
    scores = sorted((float(score) for score in random.uniform(10, 40, len(offered))), reverse=True)
    chosen = offered[0] if offered else None
    return ChoiceRow(
        ref_id=row.ref_id,
        image_id=row.image_id,
        candidates=[each.candidate for each in offered],
        scores=list(scores),
        reason="clip" if offered else "no candidate",
        chosen=chosen.candidate if chosen else None,
        chosen_by_sentence=[0, 0, 1] if offered else [-1, -1, -1],
        rle=chosen.rle if chosen else None,
        height=HEIGHT,
        width=WIDTH,
    )


def _predictions(number: int, rows: Iterable[ExpressionRow], random: np.random.Generator) -> Method:
    """For the split `val`; every seventh has no pixel."""
    masks: Masks = {row.sent_id: _disc(random) if row.sent_id % 7 else None for row in rows if row.split == "val"}
    return Method(name=f"model {number}", kind="prediction", masks=masks)
