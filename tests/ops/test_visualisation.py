"""Pictures for people: overlays, panels, PNG sizes."""

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ops.visualisation import (
    PALETTE,
    PREVIEW_BYTES,
    data_uri,
    heat_map,
    index_labels,
    jpeg_bytes,
    overlay,
    png_bytes,
    preview_png,
    side_by_side,
    stacked,
)

GREY = np.full((80, 100, 3), 128, np.uint8)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def masks(*boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    masks_NHW = np.zeros((len(boxes), 80, 100), bool)
    for mask_HW, (x0, y0, x1, y1) in zip(masks_NHW, boxes, strict=True):
        mask_HW[y0:y1, x0:x1] = True
    return masks_NHW


def opened(png: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))


def test_an_overlay_changes_its_masks_and_puts_a_white_line_around_them() -> None:
    masks_NHW = masks((5, 5, 30, 40), (50, 20, 90, 70))
    drawn = overlay(GREY, masks_NHW)
    changed, inside = (drawn != GREY).any(-1), masks_NHW.any(0)
    assert changed[inside].all()
    assert (drawn[changed & ~inside] == 255).all()
    assert (changed & ~inside).sum() == 2 * (25 + 35 + 40 + 50)
    assert (GREY == 128).all()


def test_each_mask_is_outlined_in_its_own_colour() -> None:
    drawn = overlay(GREY, masks((5, 5, 30, 40), (50, 20, 90, 70)))
    assert tuple(drawn[5, 10]) == PALETTE[0]
    assert tuple(drawn[20, 60]) == PALETTE[1]


def test_labels_are_written_inside_the_picture() -> None:
    plain = overlay(GREY, masks((0, 0, 6, 6), (94, 74, 100, 80), (40, 30, 60, 50)))
    labelled = overlay(GREY, masks((0, 0, 6, 6), (94, 74, 100, 80), (40, 30, 60, 50)), labels=index_labels(3))
    for rows, columns in (
        (slice(0, 20), slice(0, 20)),
        (slice(60, 80), slice(80, 100)),
        (slice(30, 50), slice(40, 60)),
    ):
        assert (labelled[rows, columns] != plain[rows, columns]).any()
        assert (labelled[rows, columns] > 200).all(-1).any()


def test_no_mask_and_empty_masks_draw_nothing() -> None:
    assert np.array_equal(overlay(GREY, np.zeros((0, 80, 100), bool)), GREY)
    assert np.array_equal(overlay(GREY, np.zeros((1, 80, 100), bool), labels=["empty"]), GREY)


def test_misfits_are_refused() -> None:
    with pytest.raises(ValueError, match="resize"):
        overlay(GREY, np.zeros((1, 10, 10), bool))
    with pytest.raises(ValueError, match="labels"):
        overlay(GREY, masks((0, 0, 5, 5)), labels=["a", "b"])
    with pytest.raises(ValueError, match="panel"):
        side_by_side([])
    with pytest.raises(ValueError, match="stack"):
        stacked([])


def test_panels_stand_beside_each_other_at_one_height() -> None:
    row = side_by_side([("image", noise(40, 80)), ("truth", noise(100, 50))], height=60)
    assert row.shape == (60 + 22, 120 + 30 + 3 * 4, 3)


@pytest.mark.parametrize("caption", ["", "the man", "左边的人 🐶 on the left", "word " * 10_000, "x" * 3000])
def test_any_caption_is_drawn_within_the_width(caption: str) -> None:
    row = side_by_side([("a title that is far too long for its picture", noise(30, 60))], height=60, caption=caption)
    assert row.shape[1] == 128
    assert row.shape[0] <= 60 + 22 + 3 * 18


def test_rows_are_stacked_on_white() -> None:
    page = stacked([noise(10, 20), noise(30, 50)])
    assert page.shape == (48, 50, 3)
    assert (page[:10, 20:] == 255).all()


def test_a_png_holds_the_picture() -> None:
    image_HW3 = noise(9, 13)
    assert np.array_equal(opened(png_bytes(image_HW3)), image_HW3)
    uri = data_uri(png_bytes(image_HW3))
    assert uri.startswith("data:image/png;base64,")
    assert np.array_equal(opened(base64.b64decode(uri.split(",")[1])), image_HW3)


def test_a_jpeg_is_smaller_and_keeps_thin_lines_of_another_colour() -> None:
    image_HW3 = np.full((170, 200, 3), 90, np.uint8)
    image_HW3[80] = (230, 57, 70)
    uri = data_uri(jpeg_bytes(image_HW3), kind="jpeg")
    assert uri.startswith("data:image/jpeg;base64,")
    shown_HW3 = opened(base64.b64decode(uri.split(",")[1])).astype(int)
    assert np.abs(shown_HW3 - image_HW3).max() <= 24
    assert 3 * len(jpeg_bytes(noise(170, 200) // 8)) < len(png_bytes(noise(170, 200) // 8))


@pytest.mark.parametrize("picture", [noise(480, 640), np.full((160, 192, 3), 90, np.uint8)], ids=["noise", "flat"])
def test_five_panels_fit_into_the_preview_limit(picture: NDArray[np.uint8]) -> None:
    titles = ("image", "candidates", "choice", "prediction", "truth")
    png = preview_png([(title, picture) for title in titles], caption="the red one on the left")
    assert len(png) <= PREVIEW_BYTES
    assert opened(png).shape[1] > opened(png).shape[0]


@pytest.mark.parametrize("max_bytes", [8_000, 30_000])
def test_a_preview_is_the_tallest_and_most_colourful_that_fits(max_bytes: int) -> None:
    panels = [("noise", noise(60, 30)), ("grey", np.full((60, 20, 3), 90, np.uint8))]
    tried = (
        png_bytes(side_by_side(panels, height=height), colours=colours)
        for height in (240, 200, 160, 128, 104, 84, 64, 48, 32)
        for colours in (192, 96)
    )
    assert preview_png(panels, max_bytes=max_bytes) == next(png for png in tried if len(png) <= max_bytes)


def test_a_preview_that_cannot_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer"):
        preview_png([("noise", noise(64, 64))] * 8, max_bytes=500)


def test_heat_goes_from_blue_over_green_to_red_and_stops_at_its_ends() -> None:
    strength_HW = np.tile(np.array([-1, 0, 0.5, 1, 2]).repeat(20), (80, 1))
    drawn = heat_map(GREY, strength_HW).astype(int)
    assert drawn.shape == GREY.shape
    blue, green, red = drawn[0, 20], drawn[0, 40], drawn[0, 60]
    assert blue.argmax() == 2
    assert green.argmax() == 1
    assert red.argmax() == 0
    assert (drawn[:, :20] == blue).all()
    assert (drawn[:, 80:] == red).all()


def test_what_lies_below_the_heat_stays_visible_and_in_place() -> None:
    striped = GREY.copy()
    striped[:, ::2] = 255
    drawn = heat_map(striped, np.zeros((80, 100))).astype(int)
    assert (drawn[:, ::2] - drawn[:, 1::2] > 40).all()
    assert (striped[:, 1::2] == 128).all()


def test_heat_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="resize"):
        heat_map(GREY, np.zeros((20, 25)))
