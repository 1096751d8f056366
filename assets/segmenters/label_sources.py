"""Which masks supervise a training: what a referent may learn from, under each source of labels."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Protocol, TypeVar

from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of
from assets.framework.work import Work
from assets.segmenters.knobs import Classes
from assets.ssc.stages import CANDIDATE_MASKS, CORRECTED_LABELS, MASK_CHOICES
from assets.ssc.tables import CANDIDATES, CHOICES, MATCHED_LABELS, read_choices
from assets.tris.stages import REFINED_LABELS
from assets.tris.tables import REFINED
from ops.open_vocabulary_split import SEEN
from storage.masks import Rle

TargetMasks = Mapping[Hashable, Rle]
"""The masks that may be a referent, by name; equal names, numbers or strings, mean one mask."""
Targets = Callable[[Referent], TargetMasks]


class Labelled(Protocol):
    """A row that gives a mask to a referent, or none."""

    @property
    def ref_id(self) -> int:
        """The referent."""

    @property
    def mask(self) -> Rle | None:
        """Its mask."""


L = TypeVar("L", bound=Labelled)


def chosen_masks(work: Work) -> Targets:
    """The one mask that `mask_choices` chose for a referent (S2)."""
    return _one_each(read_choices(work.input(MASK_CHOICES)), name=lambda row: row.mask_name)


def matched_masks(work: Work) -> Targets:
    """The one candidate that the corrected model gives to a referent, see `corrected_labels`."""
    return _one_each(MATCHED_LABELS.rows(work.input(CORRECTED_LABELS)), name=lambda row: row.candidate)


def refined_masks(work: Work) -> Targets:
    """The pseudo-label that TRIS refined for a referent."""
    return _one_each(REFINED.rows(work.input(REFINED_LABELS)), name=lambda row: row.ref_id)


def all_candidates(work: Work) -> Targets:
    """Every candidate of a referent (S1)."""
    masks = {(row.image_id, row.candidate): row.mask for row in CANDIDATES.rows(work.input(CANDIDATE_MASKS))}
    offered: dict[int, TargetMasks] = {
        row.ref_id: {number: masks[row.image_id, number] for number in row.candidates}
        for row in CHOICES.rows(work.input(MASK_CHOICES))
    }
    return lambda referent: offered.get(referent.ref_id, {})


def ground_truth_masks(work: Work, *, classes: Classes = "all") -> Targets:
    """A referent's ground truth; of referents of the seen classes only, if asked for."""
    annotated = {
        row.object_id: row.mask
        for row in ground_truth_of(work.input(GROUND_TRUTH)).values()
        if classes == "all" or row.category in SEEN
    }
    return lambda referent: (
        {referent.object_id: annotated[referent.object_id]} if referent.object_id in annotated else {}
    )


def _one_each(rows: Iterable[L], *, name: Callable[[L], Hashable]) -> Targets:
    """At most one mask a referent."""
    given: dict[int, TargetMasks] = {row.ref_id: {name(row): mask} for row in rows if (mask := row.mask) is not None}
    return lambda referent: given.get(referent.ref_id, {})
