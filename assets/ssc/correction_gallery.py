"""Which mistakes of the choice were mended by matching: a table over the epochs, and pictures. Reads ground truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from assets.data.tables import Candidate, Mask, Referent, candidates_of, images_of, read_image, referents_of
from assets.evaluation.iou_scores import truths_of
from assets.framework.stage import Work

RIGHT = 0.5
"""IoU with the drawn mask from which on a candidate counts as the right one."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """An object whose matches were noted, with what it was offered."""

    one: Referent
    offered: Mapping[int, Candidate]
    chosen: int | None
    matched: Mapping[int, int | None]
    """Epoch -> candidate."""
    truth: Mask

    @cached_property
    def right(self) -> frozenset[int]:
        """The candidates that are the object, as far as it is drawn."""
        masks = {number: one.mask() for number, one in self.offered.items()}
        return frozenset(
            number for number, mask in masks.items() if (mask & self.truth).sum() >= RIGHT * (mask | self.truth).sum()
        )

    @property
    def last(self) -> int | None:
        """What matching gave in the end."""
        return self.matched[max(self.matched)]


def watched_objects(work: Work) -> list[Watched]:
    """Objects of the training split with matches and a drawn mask, in the order of the data set."""
    truths, candidates = truths_of(work.inputs["ground_truth"]), candidates_of(work.inputs["candidate_masks"])
    choices = {row["ref_id"]: row for row in work.inputs["mask_choices"].table("choices").to_pylist()}
    matched: dict[int, dict[int, int | None]] = {}
    for row in work.inputs["corrected"].table("matches").to_pylist():
        matched.setdefault(row["ref_id"], {})[row["epoch"]] = row["candidate"]
    found = []
    for one in referents_of(work.inputs["references"], splits=work.instance.source.train):
        if one.ref_id in matched and one.object_id in truths:
            named = {mask.candidate: mask for mask in candidates[one.image_id]}
            choice = choices[one.ref_id]
            found.append(
                Watched(
                    one=one,
                    offered={number: named[number] for number in choice["candidates"]},
                    chosen=choice["chosen"],
                    matched=matched[one.ref_id],
                    truth=truths[one.object_id].mask(),
                )
            )
    return found


def shares(objects: Sequence[Watched]) -> list[dict[str, str | float]]:
    """Share of objects with the right mask: possible at all, by S+S, and by matching after each epoch."""
    possible = np.mean([bool(one.right) for one in objects])
    rows: list[dict[str, str | float]] = [
        {"who": "best candidate (oracle)", "right": float(possible)},
        {"who": "S+S", "right": float(np.mean([one.chosen in one.right for one in objects]))},
    ]
    for epoch in sorted(set().union(*(one.matched for one in objects))):
        share = float(np.mean([one.matched.get(epoch) in one.right for one in objects]))
        rows.append({"who": f"matching after epoch {epoch}", "right": share})
    return rows


def pictures(work: Work, objects: Sequence[Watched], *, mended: int, spoiled: int) -> list[tuple[str, np.ndarray]]:
    """Captions and pictures of mistakes that matching mended, then of some that it made."""
    better = [one for one in objects if one.last in one.right and one.chosen not in one.right]
    worse = [one for one in objects if one.chosen in one.right and one.last not in one.right]
    shown = [("mended", one) for one in better[:mended]] + [("spoiled", one) for one in worse[:spoiled]]
    images = images_of(work.inputs["references"])
    return [(verdict, _draw(one, read_image(work, images[one.one.image_id]))) for verdict, one in shown]


def _draw(one: Watched, pixels: np.ndarray) -> np.ndarray:
    from ops.visualisation import overlay, side_by_side

    def mask(candidate: int | None) -> np.ndarray:
        nothing = np.zeros((0, *pixels.shape[:2]), dtype=bool)
        return overlay(pixels, nothing if candidate is None else one.offered[candidate].mask()[None])

    epochs = sorted(one.matched)
    middle = epochs[len(epochs) // 2]
    panels = [
        ("S1", overlay(pixels, np.stack([m.mask() for m in one.offered.values()]), labels=list(map(str, one.offered)))),
        ("S2", mask(one.chosen)),
        *((f"matched, epoch {epoch}", mask(one.matched[epoch])) for epoch in (epochs[0], middle, epochs[-1])),
        ("ground truth", overlay(pixels, one.truth[None])),
    ]
    return side_by_side(panels, height=150, caption=" | ".join(f'"{said}"' for said in one.one.sentences))
