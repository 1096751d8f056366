"""Images as tensors: Gaussian blur, resizing and normalisation, by the 8-bit conventions of OpenCV and PIL.

Only the preprocessing of images before a network; visual prompts, visualisation and files are elsewhere.
Shapes: H x W pixels, C channels, n source pixels along an axis, m cells of averaged pixels along it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

BlurMode = Literal["fast", "exact"]

KERNEL_SUM = 256
"""Sum of a blur kernel's weights; as integers they keep the blur exact in float32, on every device."""

MIN_CELLS = 32
"""The fast blur averages the shorter side down to no fewer cells, to stay close to the exact one."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Per-channel mean and standard deviation of RGB values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Of Swin, LAVT and Grounding DINO (S+S+C spec 1.5)."""

CLIP = Normalisation(mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711))
"""Of CLIP (S+S+C spec 3.4)."""


def to_tensor(image_HW3: NDArray[np.uint8]) -> Tensor:
    """Copy an HWC uint8 image into a (3, H, W) uint8 tensor."""
    return torch.tensor(image_HW3).permute(2, 0, 1).contiguous()


def to_array(image_3HW: Tensor) -> NDArray[np.uint8]:
    """Copy a (3, H, W) uint8 tensor, on any device, into an HWC uint8 array."""
    return np.ascontiguousarray(image_3HW.permute(1, 2, 0).cpu().numpy())


def gaussian_blur(image_CHW: Tensor, *, sigma: float, mode: BlurMode = "fast") -> Tensor:
    """Gaussian blur of an 8-bit image; borders are reflected without repeating the edge pixel (reflect-101).

    Args:
        image_CHW: (C, H, W) uint8, on any device; H and W may be smaller than the kernel.
        sigma: standard deviation in pixels of this image.
        mode: "exact" is OpenCV's blur of 8-bit images, `round(6 sigma + 1) | 1` taps wide (S+S+C spec 3.3), bit for
            bit. "fast" applies the same kernel to the means of cells up to `sigma / 6` pixels wide: within three
            grey levels on photographs and much cheaper; the same as "exact" below sigma 12 and on small images.

    Returns:
        (C, H, W) uint8.

    Raises:
        ValueError: if the image is not uint8 or sigma is not positive.
    """
    if image_CHW.dtype != torch.uint8 or image_CHW.ndim != 3:
        raise ValueError(f"a (C, H, W) uint8 image is needed, got {image_CHW.dtype} {tuple(image_CHW.shape)}")
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; the blur needs a positive number of pixels")
    height, width = image_CHW.shape[1:]
    cell = max(1, min(int(sigma / 6), min(height, width) // MIN_CELLS)) if mode == "fast" else 1
    blur_Hm, pool_mH = _axis(height, sigma, cell, image_CHW.device)
    blur_Wm, pool_mW = _axis(width, sigma, cell, image_CHW.device)
    cells_Cmm = image_CHW.float()
    if cell > 1:
        cells_Cmm = pool_mH @ cells_Cmm @ pool_mW.T
    blurred_CHW = blur_Hm @ cells_Cmm @ blur_Wm.T
    return (blurred_CHW.add_(KERNEL_SUM**2 / 2).div_(KERNEL_SUM**2)).to(torch.uint8)


def _axis(length: int, sigma: float, cell: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The blur along one axis as two matrices: (m, n) source pixels to cell means, (n, m) these to blurred pixels."""
    blur_nm, pool_mn = _axis_matrices(length, float(sigma), cell)
    return blur_nm.to(device), pool_mn.to(device)


@lru_cache(maxsize=16)
def _axis_matrices(length: int, sigma: float, cell: int) -> tuple[Tensor, Tensor]:
    weights_T, mirrored_nT = _taps(length, sigma)
    cells = -(-length // cell)
    cell_of_n = (np.arange(length) * cells) // length
    flat = np.arange(length)[:, None] * cells + cell_of_n[mirrored_nT]
    blur_nm = np.bincount(
        flat.ravel(), np.broadcast_to(weights_T, flat.shape).ravel(), minlength=length * cells
    ).reshape(length, cells)
    # Reflection visits every pixel twice except the first and the last one: those weigh half in the mean of their cell.
    share_n = np.full(length, 2.0)
    share_n[[0, -1]] = 1.0
    pool_mn = np.zeros((cells, length))
    pool_mn[cell_of_n, np.arange(length)] = share_n
    pool_mn /= pool_mn.sum(1, keepdims=True)
    return torch.from_numpy(blur_nm).float(), torch.from_numpy(pool_mn).float()


def _taps(length: int, sigma: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Kernel weights (T,) that sum to 256, and the reflected source pixel of each tap of each pixel (n, T)."""
    radius = (round(6 * sigma + 1) | 1) // 2
    offsets_T = np.arange(-radius, radius + 1)
    gauss_T = np.exp(-0.5 * (offsets_T / sigma) ** 2)
    side = gauss_T[:radius] / gauss_T.sum() * KERNEL_SUM
    # Eight bits a weight, as for 8-bit images in OpenCV: each rounding error is carried to the next weight inwards.
    side = np.diff(np.rint(np.cumsum(side)), prepend=0.0)
    weights_T = np.concatenate([side, [KERNEL_SUM - 2 * side.sum()], side[::-1]]).astype(np.int64)
    last = length - 1
    unfolded_nT = np.arange(length)[:, None] + offsets_T
    mirrored_nT = np.abs((unfolded_nT + last) % (2 * last) - last) if last else np.zeros_like(unfolded_nT)
    return weights_T, mirrored_nT


def resize_image(image_CHW: Tensor, *, height: int, width: int) -> Tensor:
    """Resize an image like PIL's BILINEAR: antialiased, half-pixel centres, rounded to 8 bits (S+S+C spec 1.5).

    Takes and returns uint8, (C, h, w) -> (C, height, width); within one grey level of PIL. Aspect ratio is not kept.
    """
    # torch resizes uint8 on CPU alone, in PIL's fixed point: six times faster and nearer to PIL than in floating point.
    source_1CHW = image_CHW[None] if image_CHW.device.type == "cpu" else image_CHW[None].float()
    resized_1CHW = F.interpolate(
        source_1CHW, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )
    return resized_1CHW[0] if resized_1CHW.dtype == torch.uint8 else resized_1CHW[0].round().clamp(0, 255).byte()


def resize_labels(labels_HW: Tensor, *, height: int, width: int) -> Tensor:
    """Resize a label map or mask like PIL's NEAREST: source index floor((i + 0.5) * scale) (S+S+C spec 1.5).

    Works on the last two axes of any dtype; torch's `nearest` is off by a pixel in 5-9 % of places.
    """
    rows_H = _nearest(labels_HW.shape[-2], height).to(labels_HW.device)
    columns_W = _nearest(labels_HW.shape[-1], width).to(labels_HW.device)
    return labels_HW[..., rows_H[:, None], columns_W]


def _nearest(source: int, target: int) -> Tensor:
    """Source index of every target index, by cumulative sums as in PIL, which resolves exact ties alike."""
    scale = source / target
    steps = np.full(target, scale)
    steps[0] = 0.5 * scale
    return torch.from_numpy(np.cumsum(steps).astype(np.int64))


def normalise(images_3HW: Tensor, statistics: Normalisation = IMAGENET) -> Tensor:
    """Scale RGB values in [0, 255], (..., 3, H, W) of any dtype, to [0, 1] and standardise per channel; float32."""
    mean_311 = images_3HW.new_tensor(statistics.mean, dtype=torch.float32)[:, None, None]
    std_311 = images_3HW.new_tensor(statistics.std, dtype=torch.float32)[:, None, None]
    return (images_3HW.float() / 255 - mean_311) / std_311
