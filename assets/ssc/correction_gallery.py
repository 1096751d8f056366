"""Which mistakes of the choice matching fixed: a table over the epochs, and figures. Reads ground truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from assets.data.images import Mask, Pixels, read_image
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of, images_of, training_referents
from assets.framework.work import Work
from assets.reports.figures import PanelFigure, masked
from assets.ssc.stages import CANDIDATE_MASKS, CORRECTED, MASK_CHOICES
from assets.ssc.tables import MATCHES, CandidateRow, candidates_of, choices_of
from ops.visualisation import overlay

RIGHT = 0.5
"""IoU with the ground truth from which on a candidate counts as the right one."""


@dataclass(frozen=True, kw_only=True)
class LoggedReferent:
    """A referent whose matches were logged, with what it was offered."""

    referent: Referent
    candidates: Mapping[int, CandidateRow]
    chosen: int | None
    matched: Mapping[int, int | None]
    """Epoch -> candidate."""
    truth: Mask

    @cached_property
    def right(self) -> frozenset[int]:
        """The candidates that are the referent, by its ground truth."""
        masks = {number: candidate.mask.decode() for number, candidate in self.candidates.items()}
        return frozenset(
            number for number, mask in masks.items() if (mask & self.truth).sum() >= RIGHT * (mask | self.truth).sum()
        )

    @property
    def last(self) -> int | None:
        """What matching gave in the end."""
        return self.matched[max(self.matched)]


def logged_referents(work: Work) -> list[LoggedReferent]:
    """Referents of the training split with matches and ground truth, in the order of the data set."""
    truths, candidates = ground_truth_of(work.input(GROUND_TRUTH)), candidates_of(work.input(CANDIDATE_MASKS))
    choices = choices_of(work.input(MASK_CHOICES))
    matched: dict[int, dict[int, int | None]] = {}
    for row in MATCHES.rows(work.input(CORRECTED)):
        matched.setdefault(row.ref_id, {})[row.epoch] = row.candidate
    logged = []
    for referent in training_referents(work):
        if referent.ref_id in matched and referent.object_id in truths:
            named = {mask.candidate: mask for mask in candidates[referent.image_id]}
            choice = choices[referent.ref_id]
            logged.append(
                LoggedReferent(
                    referent=referent,
                    candidates={number: named[number] for number in choice.candidates},
                    chosen=choice.chosen,
                    matched=matched[referent.ref_id],
                    truth=truths[referent.object_id].mask.decode(),
                )
            )
    return logged


def shares_right(referents: Sequence[LoggedReferent]) -> list[dict[str, str | float]]:
    """Share of referents with the right mask: possible at all, by S+S, and by matching after each epoch."""
    possible = np.mean([bool(one.right) for one in referents])
    rows: list[dict[str, str | float]] = [
        {"who": "best candidate (oracle)", "right": float(possible)},
        {"who": "S+S", "right": float(np.mean([one.chosen in one.right for one in referents]))},
    ]
    for epoch in sorted(set().union(*(one.matched for one in referents))):
        share = float(np.mean([one.matched.get(epoch) in one.right for one in referents]))
        rows.append({"who": f"matching after epoch {epoch}", "right": share})
    return rows


def figures(work: Work, referents: Sequence[LoggedReferent], *, fixed: int, broken: int) -> list[PanelFigure]:
    """Mistakes that matching fixed, then some that it made."""
    better = [one for one in referents if one.last in one.right and one.chosen not in one.right]
    worse = [one for one in referents if one.chosen in one.right and one.last not in one.right]
    shown = [("fixed by matching", one) for one in better[:fixed]]
    shown += [("broken by matching", one) for one in worse[:broken]]
    images = images_of(work)
    return [_draw(one, read_image(work, images[one.referent.image_id]), verdict) for verdict, one in shown]


def _draw(logged: LoggedReferent, pixels: Pixels, verdict: str) -> PanelFigure:
    def mask(candidate: int | None) -> Pixels:
        return masked(pixels, None if candidate is None else logged.candidates[candidate].mask)

    epochs = sorted(logged.matched)
    middle = epochs[len(epochs) // 2]
    masks = np.stack([candidate.mask.decode() for candidate in logged.candidates.values()])
    panels = (
        ("S1", overlay(pixels, masks, labels=list(map(str, logged.candidates)))),
        ("S2", mask(logged.chosen)),
        *((f"matched, epoch {epoch}", mask(logged.matched[epoch])) for epoch in (epochs[0], middle, epochs[-1])),
        ("ground truth", masked(pixels, logged.truth)),
    )
    expressions = " | ".join(f'"{text}"' for text in logged.referent.expressions)
    return PanelFigure(panels=panels, subject=expressions, caption=f"{verdict}: {expressions}")
