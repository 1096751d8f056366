"""IoU, disagreement and agreement of masks."""

import numpy as np
import pytest

from assets.reports.gallery.measures import disagreement, overlaps
from storage.masks import Rle

LEFT = Rle.of(np.array([[1, 1, 0, 0]], bool))
MIDDLE = Rle.of(np.array([[0, 1, 1, 0]], bool))


@pytest.mark.parametrize(
    ("masks", "ious", "apart"),
    [
        ([], np.zeros((0, 0)), None),
        ([LEFT], [[1]], None),
        ([None], [[1]], None),
        ([LEFT, LEFT], [[1, 1], [1, 1]], 0),
        ([LEFT, MIDDLE], [[1, 1 / 3], [1 / 3, 1]], 2 / 3),
        ([LEFT, None], [[1, 0], [0, 1]], 1),
        ([None, None], [[1, 1], [1, 1]], 0),
        ([LEFT, None, MIDDLE, None], [[1, 0, 1 / 3, 0], [0, 1, 0, 1], [1 / 3, 0, 1, 0], [0, 1, 0, 1]], 1 - 8 / 36),
    ],
)
def test_masks_overlap_and_disagree(masks: list[Rle | None], ious: object, apart: float | None) -> None:
    ious_MM = overlaps(masks)
    np.testing.assert_allclose(ious_MM, np.asarray(ious))
    assert disagreement(ious_MM) == (None if apart is None else pytest.approx(apart))


def test_masks_of_two_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="one size"):
        overlaps([LEFT, Rle.of(np.ones((4, 1), bool))])
