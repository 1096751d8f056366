"""Seeds: labels with an ignore zone, made from response maps by a dense CRF (spec 4.1).

Mean-field inference of a fully connected CRF with Gaussian edge potentials (Krähenbühl and Koltun 2011) over two
labels, represented by the logit of the foreground. A permutohedral lattice (`ops.tris.lattice`) filters the messages at
every size; an image of 640 x 480 takes seconds on one core.
Shapes: K maps of one image, H x W pixels, N = H * W.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ops.tris.lattice import Lattice

IGNORE = 255
"""Label of the ignore zone."""


@dataclass(frozen=True, kw_only=True)
class Crf:
    """Parameters of the dense CRF; the defaults are the authors'."""

    gt_prob: float = 0.7
    """Probability of the given labels, from which the unary potentials are computed."""
    smooth_xy: float = 3.0
    """Standard deviation of the spatial kernel, in pixels."""
    smooth_weight: float = 3.0
    colour_xy: float = 50.0
    """Standard deviation in space of the bilateral kernel, in pixels."""
    colour_rgb: float = 5.0
    """Its standard deviation in colour, in grey levels of 0..255."""
    colour_weight: float = 10.0
    iterations: int = 10


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Thresholds on responses in [0, 1): pixels above are the foreground of an initial labelling."""

    foreground: float = 0.30
    background: float = 0.10
    """Pixels that are background with this threshold, too, are labelled background."""


CRF, THRESHOLDS = Crf(), Thresholds()


def seed_labels(image_3HW: Tensor, maps_KHW: Tensor, *, thresholds: Thresholds = THRESHOLDS, crf: Crf = CRF) -> Tensor:
    """Seeds of the referents of one image from their response maps.

    Args:
        image_3HW: uint8 RGB.
        maps_KHW: responses in [0, 1) at the image's size, one a referent.
        thresholds: of the two labellings.
        crf: parameters of the dense CRF.

    Returns:
        (K, H, W) uint8: 1 foreground, 0 background, 255 ignored. Foreground is that of the first labelling, background
        that of the second, and foreground where they overlap.

    Raises:
        ValueError: image and maps differ in size, or the image is not uint8.
    """
    starts_2KHW = torch.stack([maps_KHW > thresholds.foreground, maps_KHW > thresholds.background])
    refined_2KHW = mean_field(image_3HW, starts_2KHW.flatten(0, 1), crf=crf).view(starts_2KHW.shape)
    labels_KHW = torch.where(refined_2KHW[1], IGNORE, 0).to(torch.uint8)
    return labels_KHW.masked_fill_(refined_2KHW[0], 1)


def mean_field(image_3HW: Tensor, masks_KHW: Tensor, *, crf: Crf = CRF) -> Tensor:
    """Mean-field inference of the dense CRF from hard masks, (K, H, W) bool.

    All masks of an image share its lattices, so further masks cost little.

    Raises:
        ValueError: image and masks differ in size, or the image is not uint8.
    """
    if image_3HW.dtype != torch.uint8 or image_3HW.shape[1:] != masks_KHW.shape[1:]:
        raise ValueError(
            f"masks {tuple(masks_KHW.shape)} do not lie on the {image_3HW.dtype} image {tuple(image_3HW.shape)}: "
            "pass uint8 RGB and masks of its size"
        )
    kernels = _kernels(image_3HW, crf)
    certainty = math.log(crf.gt_prob / (1 - crf.gt_prob))
    unary_KN = torch.where(masks_KHW.flatten(1), certainty, -certainty)
    # A label's message is its filtered probability: the logit gets K q - K (1 - q) = 2 K q - K 1 of every kernel K.
    base_KN = unary_KN - sum(weight * lattice.filter(torch.ones_like(unary_KN[:1])) for weight, lattice in kernels)
    logits_KN = unary_KN
    for _ in range(crf.iterations):
        foreground_KN = logits_KN.sigmoid()
        logits_KN = base_KN + sum(2 * weight * lattice.filter(foreground_KN) for weight, lattice in kernels)
    return (logits_KN > 0).view(masks_KHW.shape)


def _kernels(image_3HW: Tensor, crf: Crf) -> list[tuple[float, Lattice]]:
    """The spatial and the bilateral kernel with their weights."""
    height, width = image_3HW.shape[1:]
    rows_HW, columns_HW = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    position_N2 = torch.stack([columns_HW, rows_HW], dim=-1).flatten(0, 1).float().to(image_3HW.device)
    colour_N3 = image_3HW.flatten(1).T.float()
    bilateral_N5 = torch.cat([position_N2 / crf.colour_xy, colour_N3 / crf.colour_rgb], dim=1)
    return [
        (crf.smooth_weight, Lattice.of(position_N2 / crf.smooth_xy)),
        (crf.colour_weight, Lattice.of(bilateral_N5)),
    ]
