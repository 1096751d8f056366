"""What CLIP is shown of a candidate: reverse blur, red ellipse, red rectangle."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ops.images import gaussian_blur
from ops.ssc.visual_prompts import Colours, red_ellipse, red_rectangle, reverse_blur

Prompt = Callable[..., torch.Tensor]
Picture = NDArray[np.uint8]
RNG = np.random.default_rng(0)
IMAGE_3HW = torch.from_numpy(RNG.integers(0, 256, (3, 60, 80), dtype=np.uint8))


def rectangle_mask(x0: int, y0: int, x1: int, y1: int) -> torch.Tensor:
    mask_HW = torch.zeros(60, 80, dtype=torch.bool)
    mask_HW[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask_HW


MASKS_NHW = torch.stack([rectangle_mask(20, 20, 40, 45), rectangle_mask(50, 10, 79, 30)])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_reverse_blur_keeps_the_inside_and_blurs_the_outside(seed: int) -> None:
    masks_NHW = torch.from_numpy(np.random.default_rng(seed).random((3, 60, 80)) < 0.4)
    prompted = reverse_blur(IMAGE_3HW, masks_NHW, sigma=20)
    blurred = gaussian_blur(IMAGE_3HW, sigma=20)
    for picture_3HW, mask_HW in zip(prompted, masks_NHW, strict=True):
        assert torch.equal(picture_3HW[:, mask_HW], IMAGE_3HW[:, mask_HW])
        assert torch.equal(picture_3HW[:, ~mask_HW], blurred[:, ~mask_HW])


def test_reverse_blur_of_the_whole_picture_is_the_picture() -> None:
    everything = torch.ones(1, 60, 80, dtype=torch.bool)
    assert torch.equal(reverse_blur(IMAGE_3HW, everything)[0], IMAGE_3HW)


@pytest.mark.parametrize("prompt", [reverse_blur, red_ellipse, red_rectangle])
def test_no_candidate_gives_no_picture(prompt: object) -> None:
    assert callable(prompt)
    assert prompt(IMAGE_3HW, np.zeros((0, 60, 80), bool)).shape == (0, 3, 60, 80)


def test_compat_shows_clip_red_as_blue() -> None:
    swapped = reverse_blur(IMAGE_3HW, MASKS_NHW, sigma=5, colours="compat_swapped")
    assert torch.equal(swapped.flip(1), reverse_blur(IMAGE_3HW, MASKS_NHW, sigma=5))


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="resolution"):
        reverse_blur(IMAGE_3HW, torch.zeros(1, 50, 80, dtype=torch.bool))


def test_the_fixed_ellipse_is_red_and_the_compat_one_blue_to_clip() -> None:
    black = torch.zeros_like(IMAGE_3HW)
    fixed, compat = red_ellipse(black, MASKS_NHW), red_ellipse(black, MASKS_NHW, colours="compat_swapped")
    assert fixed[:, 0].max() == 255
    assert fixed[:, 1:].max() == 0
    assert compat[:, 2].max() == 255
    assert compat[:, :2].max() == 0


def test_the_fixed_ellipse_touches_the_box_with_one_margin() -> None:
    ring = red_ellipse(torch.zeros_like(IMAGE_3HW), MASKS_NHW[:1])[0, 0] > 0
    columns, rows = ring.any(0).nonzero().flatten(), ring.any(1).nonzero().flatten()
    # centre (30, 32.5), semi-axes 14 and 16.5, half a line of 2 pixels
    assert (int(columns[0]), int(columns[-1])) == (14, 46)
    assert abs(int(rows[0]) - (32.5 - 16.5 - 2)) <= 0.5
    assert abs(int(rows[-1]) - (32.5 + 16.5 + 2)) <= 0.5


def boxes(count: int) -> Iterator[tuple[int, int, tuple[int, int, int, int]]]:
    """Height and width of an image, and a box in it by its first and last columns and rows."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        height, width = rng.integers(50, 400, 2).tolist()
        x0, x1 = sorted(rng.integers(0, width, 2).tolist())
        y0, y1 = sorted(rng.integers(0, height, 2).tolist())
        yield height, width, (x0, y0, x1, y1)


def marked(height: int, width: int, box: tuple[int, int, int, int], prompt: Prompt, colours: Colours) -> Picture:
    """The mark around a box on black, (H, W, 3)."""
    x0, y0, x1, y1 = box
    mask_1HW = torch.zeros(1, height, width, dtype=torch.bool)
    mask_1HW[:, y0 : y1 + 1, x0 : x1 + 1] = True
    black_3HW = torch.zeros(3, height, width, dtype=torch.uint8)
    return prompt(black_3HW, mask_1HW, colours=colours)[0].permute(1, 2, 0).numpy()


def test_the_compat_ellipse_is_the_one_that_opencv_draws_for_the_authors() -> None:
    for height, width, box in boxes(400):
        x0, y0, x1, y1 = box
        expected = np.zeros((height, width, 3), np.uint8)
        centre, axes = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0 + 16) // 2, (y1 - y0 + 16) // 2)
        cv2.ellipse(expected, centre, axes, 0, 0, 360, (0, 0, 255), 4)
        assert np.array_equal(marked(height, width, box, red_ellipse, "compat_swapped"), expected)


def test_the_fixed_ellipse_of_a_box_with_its_centre_on_a_pixel_is_opencvs() -> None:
    for height, width, (x0, y0, x1, y1) in boxes(400):
        box = (x0, y0, x1 - (x1 - x0) % 2, y1 - (y1 - y0) % 2)
        expected = np.zeros((height, width, 3), np.uint8)
        centre = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
        axes = ((box[2] - box[0]) // 2 + 4, (box[3] - box[1]) // 2 + 4)
        cv2.ellipse(expected, centre, axes, 0, 0, 360, (255, 0, 0), 4)
        assert np.array_equal(marked(height, width, box, red_ellipse, "rgb"), expected)


def test_the_fixed_ellipse_of_a_box_with_its_centre_between_pixels_lies_there() -> None:
    for width in (9, 10, 31, 32):
        mark_HW = marked(80, 80, (20, 20, 20 + width - 1, 50), red_ellipse, "rgb")[..., 0] > 0
        columns = np.flatnonzero(mark_HW.any(0))
        assert abs((columns[0] + columns[-1]) / 2 - (20 + (width - 1) / 2)) <= 0.5
        assert abs((columns[-1] - columns[0]) / 2 - ((width - 1) / 2 + 4 + 2)) <= 0.5


def test_the_rectangle_is_opencvs() -> None:
    for height, width, box in boxes(400):
        x0, y0, x1, y1 = box
        expected = np.zeros((height, width, 3), np.uint8)
        cv2.rectangle(expected, (x0 - 4, y0 - 4), (x1 + 4, y1 + 4), (0, 0, 255), 4)
        assert np.array_equal(marked(height, width, box, red_rectangle, "compat_swapped"), expected)


def test_an_empty_mask_leaves_its_picture_unmarked() -> None:
    drawn = red_ellipse(IMAGE_3HW, torch.stack([MASKS_NHW[0], torch.zeros(60, 80, dtype=torch.bool)]))
    assert not torch.equal(drawn[0], IMAGE_3HW)
    assert torch.equal(drawn[1], IMAGE_3HW)
