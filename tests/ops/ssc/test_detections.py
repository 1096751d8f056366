"""Classes of boxes, best masks and suppression of duplicates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ops.ssc.detections import (
    Detections,
    best_of_three,
    class_scores,
    isolated_window,
    keep_detections,
    mask_nms,
    point_grid,
    together,
    top_box,
    window_of,
)


def boxes(count: int) -> NDArray[np.float32]:
    return np.stack([np.array([i, i, i + 10, i + 10], dtype=np.float32) for i in range(count)])


def scores(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


def test_a_class_scores_what_its_best_token_scores() -> None:
    found = class_scores(scores([0.9, 0.1, 0.6, 0.2], [0.0, 0.5, 0.3, 0.4]), [(1,), (2, 3)])
    np.testing.assert_allclose(found, [[0.1, 0.6], [0.5, 0.4]])


def test_each_query_gets_its_best_class_and_weak_ones_go() -> None:
    token_scores = scores([0.5, 0.1], [0.2, 0.6], [0.34, 0.3], [0.1, 0.36])
    kept = keep_detections(boxes(4), token_scores, [(0,), (1,)], box_threshold=0.35, text_threshold=0.25)
    np.testing.assert_array_equal(kept.class_ids_N, [1, 0, 1])
    np.testing.assert_array_equal(kept.boxes_N4, boxes(4)[[1, 0, 3]])
    np.testing.assert_allclose(kept.scores_N, [0.6, 0.5, 0.36])


def test_detections_of_several_captions_are_those_of_one_that_holds_all_classes() -> None:
    parts = [
        keep_detections(boxes(2), scores([0.5, 0.1], [0.2, 0.6]), [(0,), (1,)]),
        keep_detections(boxes(3)[::-1], scores([0.1], [0.9], [0.6]), [(0,)]),
    ]
    found = together(parts, [2, 1])
    np.testing.assert_allclose(found.scores_N, [0.9, 0.6, 0.6, 0.5])
    np.testing.assert_array_equal(found.class_ids_N, [2, 2, 1, 0])
    np.testing.assert_array_equal(found.boxes_N4, boxes(3)[[1, 0, 1, 0]])


def test_detections_of_one_caption_stay_as_they_are() -> None:
    kept = keep_detections(boxes(3), scores([0.5, 0.5], [0.5, 0.5], [0.9, 0.1]), [(0,), (1,)])
    found: Detections = together([kept], [2])
    for name in ("boxes_N4", "scores_N", "class_ids_N"):
        assert getattr(found, name).tobytes() == getattr(kept, name).tobytes()


def test_half_a_phrase_does_not_make_a_detection() -> None:
    racket_only, both = [0.02, 0.45], [0.20, 0.45]
    kept = keep_detections(boxes(2), scores(racket_only, both), [(0, 1)])
    np.testing.assert_array_equal(kept.boxes_N4, boxes(2)[1:])


def test_a_phrase_that_fails_leaves_the_query_to_the_next_class() -> None:
    kept = keep_detections(boxes(1), scores([0.02, 0.45, 0.40]), [(0, 1), (2,)])
    np.testing.assert_array_equal(kept.class_ids_N, [1])


def test_tokens_outside_every_class_do_not_count() -> None:
    assert len(keep_detections(boxes(1), scores([0.99, 0.1, 0.99]), [(1,)]).boxes_N4) == 0


@given(st.permutations(range(5)))
def test_the_order_of_detections_does_not_depend_on_the_order_of_queries(order: list[int]) -> None:
    all_boxes = np.array([[5, 0, 9, 9], [1, 2, 9, 9], [1, 2, 8, 9], [0, 0, 4, 4], [7, 7, 8, 8]], dtype=np.float32)
    confidence = scores([0.5], [0.5], [0.5], [0.9], [0.1])
    kept = keep_detections(all_boxes[order], confidence[order], [(0,)])
    np.testing.assert_array_equal(kept.boxes_N4, all_boxes[[3, 2, 1, 0]])


def test_no_detection_is_an_empty_result_of_the_right_shape() -> None:
    kept = keep_detections(boxes(2), scores([0.1], [0.2]), [(0,)])
    assert kept.boxes_N4.shape == (0, 4)
    assert kept.scores_N.shape == kept.class_ids_N.shape == (0,)


def test_the_top_box_needs_no_threshold() -> None:
    box, score = top_box(boxes(3), scores([0.01, 0.05], [0.02, 0.2], [0.99, 0.1]), [(1,)])
    np.testing.assert_array_equal(box, boxes(3)[1])
    assert score == pytest.approx(0.2)


def test_the_highest_rated_of_three_masks_is_taken() -> None:
    masks = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2) % 5 == 0
    best, rated = best_of_three(masks, scores([0.1, 0.9, 0.9], [0.8, 0.2, 0.3]))
    np.testing.assert_array_equal(best, np.stack([masks[0, 1], masks[1, 0]]))
    np.testing.assert_allclose(rated, [0.9, 0.8])


def test_a_near_repetition_of_a_better_mask_is_dropped() -> None:
    masks = np.zeros((3, 10, 10), dtype=bool)
    masks[0, :9], masks[1], masks[2, :5] = True, True, True  # IoU 0.9, 0.5, 0.556
    np.testing.assert_array_equal(mask_nms(masks, scores([0.5, 0.9, 0.7])[0]), [1, 2])
    np.testing.assert_array_equal(mask_nms(masks, scores([0.5, 0.9, 0.7])[0], iou_threshold=0.9), [1, 2, 0])
    np.testing.assert_array_equal(mask_nms(masks, scores([0.5, 0.9, 0.7])[0], iou_threshold=0.4), [1])


def test_masks_of_different_classes_may_share_a_region() -> None:
    masks = np.ones((3, 4, 4), dtype=bool)
    kept = mask_nms(masks, scores([0.5, 0.9, 0.7])[0], class_ids_N=np.array([0, 1, 0]))
    np.testing.assert_array_equal(kept, [1, 2])


def test_a_dropped_mask_suppresses_nothing() -> None:
    masks = np.zeros((3, 1, 12), dtype=bool)
    masks[0, 0, :8], masks[1, 0, 1:9], masks[2, 0, 2:10] = True, True, True  # neighbours 7/9, ends 6/10
    np.testing.assert_array_equal(mask_nms(masks, scores([0.9, 0.8, 0.7])[0], iou_threshold=0.7), [0, 2])


def test_suppression_takes_no_masks_and_empty_masks() -> None:
    assert mask_nms(np.zeros((0, 4, 4), dtype=bool), np.zeros(0, dtype=np.float32)).shape == (0,)
    kept = mask_nms(np.zeros((2, 4, 4), dtype=bool), scores([0.5, 0.5])[0])
    np.testing.assert_array_equal(kept, [0, 1])


# a box alone


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((3.2, 4.9, 10.0, 12.1), (4, 13), (3, 10)),
        ((-7.0, -1.0, 50.0, 99.0), (0, 20), (0, 30)),
        ((30.0, 20.0, 30.0, 20.0), (19, 20), (29, 30)),
        ((-9.0, 5.0, -4.0, 5.0), (5, 6), (0, 1)),
    ],
)
def test_a_window_holds_the_pixels_that_the_box_touches(
    box: tuple[float, ...], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    found = window_of(np.array(box, dtype=np.float32), height=20, width=30)
    assert found == (slice(*rows), slice(*columns))


def test_a_crop_alone_keeps_its_place_on_the_colour_of_its_border() -> None:
    image_HW3 = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image_HW3[5:12, 8:20] = (10, 20, 30)
    image_HW3[6:11, 9:19] = (200, 100, 50)
    place = (slice(5, 12), slice(8, 20))
    picture_HW3 = isolated_window(image_HW3, place)
    assert np.array_equal(picture_HW3[place], image_HW3[place])
    outside_HW = np.ones((20, 30), bool)
    outside_HW[place] = False
    assert (picture_HW3[outside_HW] == (10, 20, 30)).all()


def test_points_are_spread_over_the_window_alone() -> None:
    points_P2 = point_grid((slice(10, 20), slice(0, 30)), side=2, height=20, width=60)
    assert points_P2.tolist() == [[0.125, 0.625], [0.375, 0.625], [0.125, 0.875], [0.375, 0.875]]
