"""What the page shows of one expression, in files of some images each: masks, candidates, scores, response maps.

Every mask is written once per image, as COCO's compressed run lengths at the image's own size.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from assets.data.tables import ExpressionRow
from assets.reports.gallery.index import Places
from assets.reports.gallery.reading import Candidates, Gallery, Method, ResponseSet
from assets.reports.text import visible
from storage.masks import Rle

IMAGES = 64
"""In one file; the page divides the number of an image by it."""


def count_of(places: Places) -> int:
    """How many files there are."""
    return -(-len(places.images) // IMAGES)


def chunks_of(gallery: Gallery, places: Places) -> Iterator[dict[str, Any]]:
    """The content of each file."""
    rows: list[list[tuple[int, ExpressionRow]]] = [[] for _ in range(count_of(places))]
    for number, row in enumerate(gallery.rows):
        rows[places.images[row.image_id] // IMAGES].append((number, row))
    for of_chunk in rows:
        yield _Chunk(gallery, places, of_chunk).content()


class _Chunk:
    """One file in the making; masks are numbered as they come."""

    def __init__(self, gallery: Gallery, places: Places, rows: Sequence[tuple[int, ExpressionRow]]) -> None:
        self.gallery, self.places, self.rows = gallery, places, rows
        self.numbers: dict[tuple[str, bytes], int] = {}
        self.referents = {row.ref_id: places.referents[row.ref_id] for _, row in rows}
        self.images = {row.image_id: places.images[row.image_id] for _, row in rows}

    def content(self) -> dict[str, Any]:
        content = {
            "rows": {number: self._masks(row) for number, row in self.rows},
            "candidates": [self._candidates(each) for each in self.gallery.candidates],
            "choices": [self._choices(method) for method in self.gallery.methods if method.kind == "choice"],
            "responses": [self._responses(each) for each in self.gallery.responses],
        }
        return {"masks": [counts.decode("ascii") for _, counts in self.numbers], **content}

    def _masks(self, row: ExpressionRow) -> list[int | None]:
        """Of every method and at the end the ground truth: number of the mask, -1: no pixel, None: not asked."""
        asked = [*(method.masks for method in self.gallery.methods), self.gallery.truth]
        return [self._number(row.image_id, masks[row.sent_id]) if row.sent_id in masks else None for masks in asked]

    def _number(self, image_id: str, mask: Rle | None) -> int:
        return -1 if mask is None else self.numbers.setdefault((image_id, mask.counts), len(self.numbers))

    def _candidates(self, candidates: Candidates) -> dict[int, list[tuple[int, int, str]]]:
        """Image -> number, mask and class of each candidate."""
        return {
            place: [
                (each.candidate, self._number(image_id, each.mask), visible(each.label))
                for each in candidates.of_image.get(image_id, ())
            ]
            for image_id, place in self.images.items()
        }

    def _choices(self, method: Method) -> dict[int, dict[str, Any]]:
        """Referent -> what it was offered and what was taken."""
        known = {place: method.choices.get(ref_id) for ref_id, place in self.referents.items()}
        return {
            place: {"numbers": choice.candidates, "scores": _rounded(choice.scores), "taken": choice.taken}
            for place, choice in known.items()
            if choice is not None
        }

    def _responses(self, responses: ResponseSet) -> dict[int, list[Any]]:
        """Expression -> height, width and a byte for each cell in base64, 255 where the response is largest."""
        return {
            number: _bytes_of(responses.maps_Nhw[responses.row_of[row.sent_id]])
            for number, row in self.rows
            if row.sent_id in responses.row_of
        }


def _rounded(scores: Sequence[float | None]) -> list[float | None]:
    return [None if score is None or not isfinite(score) else round(score, 3) for score in scores]


def _bytes_of(map_hw: npt.NDArray[np.floating]) -> list[Any]:
    """What is negative counts as no response, as in TRIS."""
    positive_hw = np.maximum(map_hw.astype(np.float32), 0)
    cells_hw = np.round(255 * positive_hw / max(float(positive_hw.max()), 1e-12)).astype(np.uint8)
    return [*map_hw.shape, b64encode(cells_hw.tobytes()).decode()]
