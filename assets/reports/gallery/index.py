"""What the page filters and sorts by: columns with a value for each image, referent or expression.

Shares (IoU, disagreement, areas) are whole thousandths, other numbers have three decimals; None: not known.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from assets.data.tables import ExpressionRow, ImageRow
from assets.reports.gallery.measures import disagreement, overlaps, sentences_agree
from assets.reports.gallery.reading import Gallery, Method
from assets.reports.text import visible
from assets.ssc.tables import ChoiceRow
from storage.masks import Rle

THOUSAND = 1000


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where images and referents stand in the columns: expressions name them by number."""

    images: Mapping[str, int]
    referents: Mapping[int, int]
    first_rows: Sequence[ExpressionRow]
    """Of each referent."""


def places_of(gallery: Gallery) -> Places:
    """In the order of the data set."""
    first: dict[int, ExpressionRow] = {}
    for row in gallery.rows:
        first.setdefault(row.ref_id, row)
    images = dict.fromkeys(row.image_id for row in gallery.rows)
    return Places(
        images={image_id: place for place, image_id in enumerate(images)},
        referents={ref_id: place for place, ref_id in enumerate(first)},
        first_rows=tuple(first.values()),
    )


def index_columns(gallery: Gallery, places: Places, thumbs: Mapping[str, str | None]) -> dict[str, Any]:
    """The whole index; `thumbs` are paths by image id, None where an image cannot be shown."""
    shown = [gallery.images[image_id] for image_id in places.images]
    return {
        "dataset": gallery.dataset,
        "truth": bool(gallery.truth),
        "images": _images(shown, thumbs),
        "referents": _referents(gallery, places),
        "rows": _rows(gallery, places),
        "methods": [{"name": method.name, "kind": method.kind, **_offered(method)} for method in gallery.methods],
        "candidates": [each.name for each in gallery.candidates],
        "responses": [each.name for each in gallery.responses],
        "choices": [
            {"method": number, **_choices(method, places)}
            for number, method in enumerate(gallery.methods)
            if method.kind == "choice"
        ],
        **_measured(gallery),
    }


def _offered(method: Method) -> dict[str, int | None]:
    return {"offered": method.offered} if method.kind == "choice" else {}


def _images(images: Sequence[ImageRow], thumbs: Mapping[str, str | None]) -> dict[str, list[Any]]:
    return {
        "file": [visible(image.image_file) for image in images],
        "width": [image.width for image in images],
        "height": [image.height for image in images],
        "thumb": [thumbs[image.image_id] for image in images],
    }


def _referents(gallery: Gallery, places: Places) -> dict[str, Any]:
    return {
        "id": list(places.referents),
        "image": [places.images[row.image_id] for row in places.first_rows],
        "split": coded(visible(row.split) for row in places.first_rows),
        "class": coded(visible(gallery.classes.get(ref_id, "")) for ref_id in places.referents),
        "reviewer": coded(visible(gallery.reviewers.get(ref_id, "")) for ref_id in places.referents),
    }


def _rows(gallery: Gallery, places: Places) -> dict[str, Any]:
    return {
        "id": [row.sent_id for row in gallery.rows],
        "referent": [places.referents[row.ref_id] for row in gallery.rows],
        "text": [visible(row.expression) for row in gallery.rows],
        "typed": {
            place: visible(row.raw) for place, row in enumerate(gallery.rows) if row.raw.strip() != row.expression
        },
    }


def coded(words: Iterable[str]) -> dict[str, list[Any]]:
    """Words that repeat: all different ones in the order of their first use, and for each row the place of its own."""
    places: dict[str, int] = {}
    codes = [places.setdefault(word, len(places)) for word in words]
    return {"words": list(places), "codes": codes}


def _choices(method: Method, places: Places) -> dict[str, Any]:
    """By referent."""
    choices = [method.choices.get(ref_id) for ref_id in places.referents]
    return {
        "reason": coded(visible(choice.reason) if choice else "" for choice in choices),
        "score": [None if choice is None else _rounded(_score(choice)) for choice in choices],
        "margin": [None if choice is None else _rounded(choice.margin) for choice in choices],
        "confidence": [None if choice is None else _thousandths(choice.confidence) for choice in choices],
        "candidates": [None if choice is None else len(choice.candidates) for choice in choices],
        "agree": [None if choice is None else _thousandths(sentences_agree(choice)) for choice in choices],
    }


def _score(choice: ChoiceRow) -> float | None:
    """Of the chosen candidate."""
    scores = dict(zip(choice.candidates, choice.scores, strict=True))
    return None if choice.chosen is None else scores.get(choice.chosen)


def _measured(gallery: Gallery) -> dict[str, Any]:
    """IoU and area of each method, and how far all of them disagree, by expression."""
    count = len(gallery.methods)
    ious: list[list[int | None]] = [[] for _ in range(count)]
    areas: list[list[int | None]] = [[] for _ in range(count)]
    apart: list[int | None] = []
    for row in gallery.rows:
        answered = [number for number in range(count) if row.sent_id in gallery.methods[number].masks]
        masks = [gallery.methods[number].masks[row.sent_id] for number in answered]
        known = row.sent_id in gallery.truth
        ious_MM = overlaps([*masks, *([gallery.truth[row.sent_id]] if known else [])])
        apart.append(_thousandths(disagreement(ious_MM[: len(masks), : len(masks)])))
        found = dict(zip(answered, masks, strict=True))
        for number in range(count):
            areas[number].append(_share(found[number]) if number in found else None)
            right = ious_MM[answered.index(number), -1] if known and number in found else None
            ious[number].append(_thousandths(right))
    return {"iou": ious if gallery.truth else [], "area": areas, "disagreement": apart}


def _share(mask: Rle | None) -> int:
    return 0 if mask is None else round(THOUSAND * mask.area / (mask.height * mask.width))


def _thousandths(share: float | None) -> int | None:
    return None if share is None else round(THOUSAND * float(share))


def _rounded(number: float | None) -> float | None:
    return None if number is None or not isfinite(number) else round(number, 3)
