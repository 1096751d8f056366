"""Tight boxes around masks."""

import numpy as np
import pytest

from ops.boxes import Box, tight_box


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        ([[0, 0, 0], [0, 1, 1]], (1, 1, 3, 2)),
        ([[1, 0, 0]], (0, 0, 1, 1)),
        ([[0, 0]], None),
        ([[1, 0, 0], [0, 0, 0], [0, 0, 1]], (0, 0, 3, 3)),
    ],
)
def test_the_box_of_a_mask_has_exclusive_far_sides(mask: list[list[int]], box: Box | None) -> None:
    assert tight_box(np.array(mask, dtype=bool)) == box
