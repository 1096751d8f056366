"""Which masks of TRIS failed, how, and which of them a page shows."""

import numpy as np
import pytest

from assets.data.tables import GroundTruthRow, Referent
from assets.tris.failures import Failure, counted, failures_of, kind_of, worst_of_each_kind
from storage.masks import Rle

SIDE = 20


def box(top: int, left: int, bottom: int, right: int) -> Rle:
    mask_HW = np.zeros((SIDE, SIDE), bool)
    mask_HW[top:bottom, left:right] = True
    return Rle.of(mask_HW)


TRUTH, OTHER = box(0, 0, 10, 4), box(0, 10, 10, 14)


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (box(0, 0, 0, 0), "no mask"),
        (box(0, 9, 10, 14), "another object"),
        (box(0, 2, 10, 14), "several objects"),
        (box(0, 0, 20, 6), "leaks"),
        (box(0, 0, 3, 4), "a part"),
        (box(12, 0, 20, 20), "missed"),
        (box(8, 0, 20, 4), "missed"),
    ],
)
def test_a_failure_is_called_by_what_the_mask_covers(mask: Rle, kind: str) -> None:
    assert kind_of(mask, TRUTH, [OTHER, box(0, 0, 0, 0)]) == kind


def test_wrong_masks_come_worst_first_and_right_or_unjudged_ones_not_at_all() -> None:
    referents = [
        Referent(ref_id=n, object_id=f"o{n}", image_id="a", split="val", sent_ids=[10 * n, 10 * n + 1])
        for n in range(3)
    ]
    truths = {
        f"o{n}": GroundTruthRow(object_id=f"o{n}", image_id="a", category="", **mask.columns())
        for n, mask in enumerate((TRUTH, OTHER))
    }
    masks = {0: TRUTH, 1: box(0, 0, 4, 4), 10: TRUTH, 11: box(0, 10, 3, 14), 20: TRUTH}
    found = failures_of(referents, masks, truths)
    assert [(one.sent_id, one.kind) for one in found] == [(10, "another object"), (11, "a part"), (1, "a part")]
    assert [one.iou for one in found] == pytest.approx([0, 0.3, 0.4])
    assert counted(found) == [
        {"failure": "another object", "expressions": 1},
        {"failure": "a part", "expressions": 2},
    ]


def test_an_object_that_is_annotated_twice_is_not_another_one() -> None:
    twice = {
        name: GroundTruthRow(object_id=name, image_id="a", category="", **TRUTH.columns()) for name in ("o0", "again")
    }
    said = Referent(ref_id=0, object_id="o0", image_id="a", split="val", sent_ids=[0])
    assert [one.kind for one in failures_of([said], {0: box(0, 0, 20, 6)}, twice)] == ["leaks"]


def test_of_each_kind_the_worst_are_shown_and_no_referent_twice() -> None:
    said = [(1, "missed"), (1, "missed"), (2, "missed"), (3, "missed"), (2, "leaks"), (4, "leaks"), (5, "a part")]
    failures = [
        Failure(
            referent=Referent(ref_id=ref_id, object_id="", image_id=f"i{ref_id}", split="val"),
            sent_id=sent_id,
            iou=sent_id / 100,
            kind=kind,
        )
        for sent_id, (ref_id, kind) in enumerate(said)
    ]
    shown = worst_of_each_kind(failures, 2)
    assert [(one.image_id, one.kind) for one in shown] == [
        ("i4", "leaks"),
        ("i5", "a part"),
        ("i1", "missed"),
        ("i2", "missed"),
    ]
    assert worst_of_each_kind(failures, 0) == []
