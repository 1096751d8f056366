"""Where TRIS fails: wrong masks of Step 2, told apart by what they cover (TRIS Fig. 7). Reads ground truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assets.data.tables import GroundTruthRow, Referent
from storage.masks import Rle

WRONG = 0.5
"""IoU with the ground truth below which a mask is a failure."""
SAME = 0.5
"""IoU of two annotations from which on they are of one object, which a data set may hold once for each expression."""
COVERED = 0.5
"""Share of an object from which on a mask covers it, and of a mask from which on it lies in an object."""
KINDS = ("another object", "several objects", "leaks", "a part", "missed", "no mask")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A wrong mask of one expression."""

    referent: Referent
    sent_id: int
    iou: float
    kind: str
    """One of `KINDS`."""

    @property
    def image_id(self) -> str:
        """The image."""
        return self.referent.image_id


def failures_of(
    referents: Iterable[Referent], masks: Mapping[int, Rle], truths: Mapping[str, GroundTruthRow]
) -> list[Failure]:
    """The wrong ones, the worst first, and in the order of expressions where they are equally bad.

    Args:
        referents: those that are looked at.
        masks: expression -> mask; expressions without one are left out.
        truths: object -> its annotation, of all objects of their images.
    """
    objects: dict[str, list[GroundTruthRow]] = {}
    for truth in truths.values():
        objects.setdefault(truth.image_id, []).append(truth)
    found: list[Failure] = []
    for referent in referents:
        if (own := truths.get(referent.object_id)) is None:
            continue
        others = [one.mask for one in objects[own.image_id] if one.mask.iou(own.mask) < SAME]
        for sent_id in referent.sent_ids:
            if sent_id in masks and (iou := masks[sent_id].iou(own.mask)) < WRONG:
                kind = kind_of(masks[sent_id], own.mask, others)
                found.append(Failure(referent=referent, sent_id=sent_id, iou=iou, kind=kind))
    return sorted(found, key=lambda failure: (failure.iou, failure.sent_id))


def kind_of(mask: Rle, truth: Rle, others: Sequence[Rle]) -> str:
    """What a wrong mask covers; `others` are the other annotated objects of the image."""
    if not mask.area:
        return "no mask"
    both, _ = mask.pixels(truth)
    hit = both >= COVERED * truth.area > 0
    if any(mask.pixels(other)[0] >= COVERED * other.area > 0 for other in others):
        return "several objects" if hit else "another object"
    if hit:
        return "leaks"
    return "a part" if both >= COVERED * mask.area else "missed"


def worst_of_each_kind(failures: Iterable[Failure], count: int) -> list[Failure]:
    """So many of each kind, kind by kind, and no referent twice."""
    shown: dict[str, list[Failure]] = {kind: [] for kind in KINDS}
    seen: set[int] = set()
    for failure in failures:
        if len(shown[failure.kind]) < count and failure.referent.ref_id not in seen:
            shown[failure.kind].append(failure)
            seen.add(failure.referent.ref_id)
    return [failure for of_kind in shown.values() for failure in of_kind]


def counted(failures: Iterable[Failure]) -> list[dict[str, str | int]]:
    """Kind and number of expressions, of the kinds that there are."""
    kinds = [failure.kind for failure in failures]
    return [{"failure": kind, "expressions": kinds.count(kind)} for kind in KINDS if kind in kinds]
