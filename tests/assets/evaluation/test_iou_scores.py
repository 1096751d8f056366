"""What scores count on run lengths is what the decoded masks say, to the last pixel."""

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from assets.data.tables import Referent
from assets.evaluation.choice_scores import choice_pairs
from assets.evaluation.iou_scores import Cells, compare, last_of_each
from assets.ssc.tables import SeveralRow
from ops.ssc.mask_selection import random_choice
from storage.masks import Rle

REFERENT = Referent(ref_id=5, object_id="o", image_id="i", split="val", sent_ids=[7, 8], expressions=["a", "b"])
SIDES = st.integers(1, 12)
MASKS = st.tuples(st.integers(1, 5), SIDES, SIDES).flatmap(lambda shape: hnp.arrays(np.bool_, shape))
"""Candidates and, at last, the ground truth."""


@settings(deadline=None)
@given(MASKS, st.data())
def test_a_choice_is_compared_as_its_decoded_masks_are(masks_NHW: NDArray[np.bool_], data: st.DataObject) -> None:
    *offered, truth_HW = masks_NHW
    count = len(offered)
    taken = data.draw(st.lists(st.sampled_from(range(count)), unique=True)) if count else []
    alone = [data.draw(st.integers(-1, count - 1)) for _ in REFERENT.sent_ids]
    choice = SeveralRow(
        ref_id=5,
        image_id="i",
        candidates=[10 + number for number in range(count)],
        scores=[None] * count,
        reason="clip",
        chosen=10 + taken[0] if taken else None,
        chosen_by_sentence=[10 + one if one >= 0 else -1 for one in alone],
        rle=None,
        height=truth_HW.shape[0],
        width=truth_HW.shape[1],
        together=[10 + one for one in taken],
    )
    shares = [(one & truth_HW).sum() / max((one | truth_HW).sum(), 1) for one in offered]
    methods = {
        "S+S": taken,
        "random": [random_choice(count, referent_id=5, seed=3).index],
        "first": [0 if count else -1],
        "oracle": [int(np.argmax(shares)) if count else -1],
    }

    def expected(rows: list[int]) -> tuple[int, int]:
        chosen = [offered[row] for row in rows if row >= 0]
        mask_HW = np.any(chosen, axis=0) if chosen else np.zeros_like(truth_HW)
        return int((mask_HW & truth_HW).sum()), int((mask_HW | truth_HW).sum())

    pairs = choice_pairs(REFERENT, choice, [Rle.of(one) for one in offered], Rle.of(truth_HW), seed=3)
    found = {(pair.method, pair.sent_id): (pair.intersection, pair.union) for pair in pairs}
    wanted = {(name, sent_id): expected(rows) for name, rows in methods.items() for sent_id in REFERENT.sent_ids}
    by_each = zip(REFERENT.sent_ids, alone, strict=True)
    assert found == wanted | {("S+S by each expression", sent_id): expected([row]) for sent_id, row in by_each}
    assert {pair.has_candidate for pair in pairs} == {bool(count)}


def test_pairs_are_counted_as_they_pass_and_an_object_counts_once() -> None:
    half, whole, empty = (Rle.of(np.array([row], bool)) for row in ([1, 0], [1, 1], [0, 0]))
    pairs = [compare(REFERENT, sent_id, whole, mask, method="m") for sent_id, mask in ((7, half), (8, whole))]
    pairs.append(compare(REFERENT, 9, empty, empty, method="m", resolution="48"))
    cells = Cells()
    assert list(cells.counted(pairs)) == pairs
    assert (cells.rows, cells.headline()) == (3, {"val m mIoU": 0.75})
    (cell,) = (found for key, found in cells.known.items() if key[2] == "original")
    assert cell.summary(("val", "m", "object", "original"), "count", last_of_each(cell.ref_id))["mIoU"] == 1
    assert last_of_each(array("q", [4, 9, 4, 4, 1])).tolist() == [4, 3, 1]
    assert Cells().headline() == {"scores": "no ground truth"}
    with pytest.raises(ValueError, match="one size"):
        compare(REFERENT, 7, whole, Rle.of(np.ones((2, 2), bool)), method="m")
