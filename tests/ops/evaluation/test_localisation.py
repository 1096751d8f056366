"""TRIS's measures and their edge cases."""

import numpy as np
import pytest
import torch

from ops.evaluation.localisation import Localisation, hit_rate, is_large_enough, localise, score
from ops.tris.boxes import box_hit, proposals

WHOLE_BOX = [(0.0, 0.0, 9.0, 9.0)]


def found(mask: np.ndarray, point: tuple[int, int] = (0, 0)) -> Localisation:
    return Localisation(mask_HW=mask, point=point)


def mask_of(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (30, 40)) -> np.ndarray:
    mask = np.zeros(size, bool)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = True
    return mask


def test_a_response_is_foreground_wherever_its_enlargement_is_positive() -> None:
    result = localise(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 4.0]]), (3, 5))
    assert result.mask_HW.tolist() == [[False] * 5, [False] * 3 + [True] * 2, [False] * 3 + [True] * 2]
    assert result.point == (2, 4)


def test_the_point_is_the_first_of_equal_maxima_in_reading_order() -> None:
    assert localise(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), (2, 2)).point == (0, 1)


def test_an_empty_response_gives_no_mask_and_the_corner() -> None:
    for threshold in ("raw", "compat_divided"):
        result = localise(torch.zeros(2, 2), (3, 3), threshold=threshold)
        assert not result.mask_HW.any()
        assert result.point == (0, 0)


def test_logits_that_are_all_negative_are_no_foreground_unless_signs_flip() -> None:
    logits = torch.tensor([[-1.0, -2.0], [-3.0, -0.5]])
    raw, compat = localise(logits, (2, 2)), localise(logits, (2, 2), threshold="compat_divided")
    assert not raw.mask_HW.any()
    assert raw.point == (1, 1)
    assert compat.mask_HW.all()
    assert compat.point == (1, 0)


def test_both_rules_agree_once_any_logit_is_positive() -> None:
    for seed in range(5):
        logits = torch.randn(6, 7, generator=torch.Generator().manual_seed(seed)) - 1
        assert logits.max() > 0
        raw, compat = localise(logits, (13, 11)), localise(logits, (13, 11), threshold="compat_divided")
        assert np.array_equal(raw.mask_HW, compat.mask_HW)
        assert raw.point == compat.point


def test_a_point_on_the_border_of_any_box_is_a_hit() -> None:
    mask, truth = mask_of(), mask_of((0, 0, 5, 5))
    boxes = [(20, 20, 25, 25), (3, 4, 8, 9)]
    hits = {point: score(found(mask, point), truth, boxes).point_in_box for point in [(4, 3), (9, 8), (9, 9), (3, 3)]}
    assert hits == {(4, 3): True, (9, 8): True, (9, 9): False, (3, 3): False}


def test_a_point_where_parts_of_a_mask_overlap_misses_the_mask_but_counts_for_the_iou() -> None:
    truth = mask_of((0, 0, 4, 1)).astype(np.uint8)
    truth[0, 1] = 2
    rows = [score(found(truth != 0, point), truth, WHOLE_BOX) for point in [(0, 0), (0, 1), (5, 5)]]
    assert [row.point_in_mask for row in rows] == [True, False, False]
    assert (rows[0].intersection, rows[0].union) == (4, 4)


def test_a_row_needs_a_box() -> None:
    with pytest.raises(ValueError, match="no ground truth box"):
        score(found(mask_of()), mask_of(), [])


def test_proposals_are_the_boxes_of_regions_that_are_full_enough() -> None:
    mask = mask_of((2, 3, 10, 12), (20, 15, 30, 25))
    mask[25:29, 33] = mask[28, 33:40] = True  # a thin corner fills less than half of its box
    assert proposals(mask).tolist() == [[20, 15, 30, 25, 1], [2, 3, 10, 12, 1]]


def test_holes_propose_boxes_too() -> None:
    mask = mask_of((2, 2, 38, 28))
    mask[10:14, 10:30] = False
    boxes = {tuple(row[:4]) for row in proposals(mask).tolist()}
    assert boxes == {(2.0, 2.0, 38.0, 28.0)}  # the hole's box is there, but too empty to be kept
    mask[11:13, 11:29] = True
    assert len(proposals(mask)) > 1


@pytest.mark.parametrize("value", [False, True])
def test_masks_without_a_contour_propose_one_pixel(value: bool) -> None:
    mask = np.full((30, 40), value)
    assert proposals(mask).tolist() == [[0, 0, 1, 1, 0]]
    assert not box_hit(mask, np.array([0.0, 0, 40, 30]))


def test_a_box_hits_only_above_one_half_and_only_the_first_counts() -> None:
    mask, truth = mask_of((0, 0, 10, 10)), mask_of()
    half, more = (0.0, 0.0, 10.0, 20.0), (0.0, 0.0, 10.0, 19.0)
    assert not box_hit(mask, np.array(half))
    assert box_hit(mask, np.array(more))
    assert score(found(mask), truth, [more, half]).box_hit
    assert not score(found(mask), truth, [half, more]).box_hit


def test_a_share_is_of_what_is_known() -> None:
    assert hit_rate([True, None, False, False]) == pytest.approx(1 / 3)
    assert hit_rate([None]) is None
    assert hit_rate([]) is None


def test_referit_keeps_boxes_above_five_percent() -> None:
    assert not is_large_enough((0, 0, 10, 5), (25, 40))
    assert is_large_enough((0, 0, 10, 5.1), (25, 40))
