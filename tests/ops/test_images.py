"""Pixels before a network: blur, resizing, normalisation."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from ops.images import (
    CLIP,
    IMAGENET,
    BlurMode,
    Normalisation,
    gaussian_blur,
    normalise,
    resize_image,
    resize_labels,
    to_array,
    to_tensor,
)
from tests.paths import SHARED

MODES: tuple[BlurMode, ...] = ("fast", "exact")
PHOTOGRAPHS = SHARED / "data/coco_tiny/images/train2017"


def noise(height: int, width: int, *, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def checks(height: int, width: int, *, side: int) -> NDArray[np.uint8]:
    squares = np.add.outer(np.arange(height) // side, np.arange(width) // side) % 2
    return (squares[..., None] * np.full(3, 255)).astype(np.uint8)


def framed(height: int, width: int) -> NDArray[np.uint8]:
    """One bright line along every border: what mirroring and averaging get wrong first."""
    image_HW3 = np.zeros((height, width, 3), np.uint8)
    image_HW3[[0, -1]] = 255
    image_HW3[:, [0, -1]] = 255
    return image_HW3


def difference(ours: torch.Tensor, theirs: NDArray[np.uint8]) -> int:
    return int(np.abs(to_array(ours).astype(int) - theirs).max())


@pytest.mark.parametrize("sigma", [0.4, 3, 12.5, 50])
@pytest.mark.parametrize(("height", "width"), [(96, 128), (61, 33), (5, 200), (2, 3), (1, 7)])
def test_the_exact_blur_is_opencvs_bit_for_bit(height: int, width: int, sigma: float) -> None:
    image_HW3 = noise(height, width)
    size = round(6 * sigma + 1) | 1
    expected = cv2.GaussianBlur(image_HW3, (size, size), sigma, borderType=cv2.BORDER_REFLECT_101)
    assert difference(gaussian_blur(to_tensor(image_HW3), sigma=sigma, mode="exact"), expected) == 0


@pytest.mark.parametrize(
    "picture",
    [noise(480, 640), checks(480, 640, side=64), framed(480, 640), checks(160, 192, side=16), framed(160, 176)],
    ids=["noise", "large checks", "framed", "small checks", "small and framed"],
)
@pytest.mark.parametrize("sigma", [12, 25, 50, 100])
def test_the_fast_blur_differs_by_at_most_three_levels(picture: NDArray[np.uint8], sigma: float) -> None:
    exact = gaussian_blur(to_tensor(picture), sigma=sigma, mode="exact")
    assert difference(gaussian_blur(to_tensor(picture), sigma=sigma), to_array(exact)) <= 3


def test_the_fast_blur_differs_by_at_most_three_levels_on_photographs() -> None:
    photographs = sorted(PHOTOGRAPHS.glob("*.jpg"))[:5]
    if not photographs:
        pytest.skip(f"no photographs in {PHOTOGRAPHS}")
    for path in photographs:
        image_HW3 = np.array(Image.open(path).convert("RGB"))
        expected = cv2.GaussianBlur(image_HW3, (0, 0), 50)
        assert difference(gaussian_blur(to_tensor(image_HW3), sigma=50), expected) <= 3


@given(
    value=st.integers(0, 255),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    sigma=st.floats(0.1, 60),
    mode=st.sampled_from(MODES),
)
@settings(max_examples=60)
def test_a_constant_picture_stays_constant(value: int, height: int, width: int, sigma: float, mode: BlurMode) -> None:
    image_3HW = torch.full((3, height, width), value, dtype=torch.uint8)
    assert torch.equal(gaussian_blur(image_3HW, sigma=sigma, mode=mode), image_3HW)


@pytest.mark.parametrize(("height", "width", "sigma"), [(63, 300, 50), (200, 5, 90), (300, 300, 11.9)])
def test_the_fast_blur_is_exact_where_averaging_would_not_pay(height: int, width: int, sigma: float) -> None:
    image_3HW = to_tensor(noise(height, width))
    assert torch.equal(gaussian_blur(image_3HW, sigma=sigma), gaussian_blur(image_3HW, sigma=sigma, mode="exact"))


def test_mirrored_pictures_have_mirrored_blurs() -> None:
    image_3HW = to_tensor(noise(70, 90))
    blurred = gaussian_blur(image_3HW, sigma=24)
    mirrored = gaussian_blur(image_3HW.flip(2), sigma=24).flip(2)
    assert (blurred.int() - mirrored.int()).abs().max() <= 1


def test_the_blur_refuses_what_it_cannot_blur() -> None:
    with pytest.raises(ValueError, match="uint8"):
        gaussian_blur(torch.zeros(3, 4, 4), sigma=2)
    with pytest.raises(ValueError, match="positive"):
        gaussian_blur(torch.zeros(3, 4, 4, dtype=torch.uint8), sigma=0)


@pytest.mark.parametrize(("height", "width"), [(24, 24), (64, 100), (37, 53), (7, 480)])
def test_images_resize_like_pil_within_a_grey_level(height: int, width: int) -> None:
    image_HW3 = noise(37, 53)
    expected = np.array(Image.fromarray(image_HW3).resize((width, height), Image.Resampling.BILINEAR))
    assert difference(resize_image(to_tensor(image_HW3), height=height, width=width), expected) <= 1


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(1, 90))
def test_labels_resize_like_pil(height: int, width: int, to_height: int, to_width: int) -> None:
    labels_HW = np.arange(height * width, dtype=np.int32).reshape(height, width)
    expected = np.array(Image.fromarray(labels_HW).resize((to_width, to_height), Image.Resampling.NEAREST))
    resized = resize_labels(torch.from_numpy(labels_HW), height=to_height, width=to_width)
    assert np.array_equal(resized.numpy(), expected)


def test_masks_resize_like_pil_and_stay_masks() -> None:
    mask_HW = noise(427, 640)[..., 0] > 127
    expected = np.array(Image.fromarray(mask_HW.astype(np.uint8)).resize((480, 480), Image.Resampling.NEAREST))
    resized = resize_labels(torch.from_numpy(mask_HW), height=480, width=480)
    assert resized.dtype == torch.bool
    assert np.array_equal(resized.numpy(), expected.astype(bool))


@pytest.mark.parametrize("chosen", [IMAGENET, CLIP])
def test_normalising_standardises_each_channel(chosen: Normalisation) -> None:
    image_HW3 = noise(5, 6)
    expected = (image_HW3 / 255 - np.array(chosen.mean)) / np.array(chosen.std)
    ours = normalise(to_tensor(image_HW3), chosen)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.permute(1, 2, 0).numpy(), expected, atol=1e-6)
    assert torch.equal(normalise(to_tensor(image_HW3)[None], chosen)[0], ours)


def test_tensors_and_arrays_convert_back_and_forth() -> None:
    image_HW3 = noise(4, 9)
    assert np.array_equal(to_array(to_tensor(image_HW3)), image_HW3)
