"""Seeds for the refinement: response maps, cleaned up by a dense CRF, become labels with an ignore zone (spec 4.1).

Mean-field inference of a fully connected CRF with Gaussian edge potentials (Krähenbühl and Koltun 2011) over two
labels, for which the logit of the foreground says everything. A permutohedral lattice (`ops.tris.lattice`) filters the
messages at every size; a picture of 640 x 480 takes seconds on one core.
Shapes: K maps of one picture, H x W pixels, N = H * W.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ops.tris.lattice import Lattice

IGNORE = 255
"""Label of pixels that teach nothing."""


@dataclass(frozen=True, kw_only=True)
class Crf:
    """Constants of the dense CRF; the defaults are the authors'."""

    gt_prob: float = 0.7
    """How far the given labels are believed."""
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
    """Responses in [0, 1) above which a pixel starts as foreground."""

    foreground: float = 0.30
    background: float = 0.10
    """What is background under this one too is sure background."""


AUTHORS, THRESHOLDS = Crf(), Thresholds()


def seed_labels(
    image_3HW: Tensor, maps_KHW: Tensor, *, thresholds: Thresholds = THRESHOLDS, crf: Crf = AUTHORS
) -> Tensor:
    """Turn the response maps of one picture's objects into labels for pairs of pixels.

    Args:
        image_3HW: uint8 RGB.
        maps_KHW: responses in [0, 1) at the picture's size, one a object.
        thresholds: of the two labellings.
        crf: constants of the clean-up.

    Returns:
        (K, H, W) uint8: 1 foreground, 0 background, 255 neither; foreground wins where the two labellings disagree.

    Raises:
        ValueError: picture and maps differ in size, or the picture is not uint8.
    """
    starts_2KHW = torch.stack([maps_KHW > thresholds.foreground, maps_KHW > thresholds.background])
    clean_2KHW = clean_up(image_3HW, starts_2KHW.flatten(0, 1), crf=crf).view(starts_2KHW.shape)
    labels_KHW = torch.where(clean_2KHW[1], IGNORE, 0).to(torch.uint8)
    return labels_KHW.masked_fill_(clean_2KHW[0], 1)


def clean_up(image_3HW: Tensor, masks_KHW: Tensor, *, crf: Crf = AUTHORS) -> Tensor:
    """Follow the picture's edges with hard masks: mean-field inference of the dense CRF, (K, H, W) bool.

    All masks of a picture share its lattices, so more of them cost little.

    Raises:
        ValueError: picture and masks differ in size, or the picture is not uint8.
    """
    if image_3HW.dtype != torch.uint8 or image_3HW.shape[1:] != masks_KHW.shape[1:]:
        raise ValueError(
            f"masks {tuple(masks_KHW.shape)} do not lie on the {image_3HW.dtype} picture {tuple(image_3HW.shape)}: "
            "pass uint8 RGB and masks of its size"
        )
    kernels = _kernels(image_3HW, crf)
    sure = math.log(crf.gt_prob / (1 - crf.gt_prob))
    unary_KN = torch.where(masks_KHW.flatten(1), sure, -sure)
    # A label's message is its filtered probability: the logit gets K q - K (1 - q) = 2 K q - K 1 of every kernel K.
    base_KN = unary_KN - sum(weight * lattice.filter(torch.ones_like(unary_KN[:1])) for weight, lattice in kernels)
    logits_KN = unary_KN
    for _ in range(crf.iterations):
        inside_KN = logits_KN.sigmoid()
        logits_KN = base_KN + sum(2 * weight * lattice.filter(inside_KN) for weight, lattice in kernels)
    return (logits_KN > 0).view(masks_KHW.shape)


def _kernels(image_3HW: Tensor, crf: Crf) -> list[tuple[float, Lattice]]:
    """The spatial and the bilateral kernel with their weights."""
    height, width = image_3HW.shape[1:]
    rows_HW, columns_HW = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place_N2 = torch.stack([columns_HW, rows_HW], dim=-1).flatten(0, 1).float().to(image_3HW.device)
    colour_N3 = image_3HW.flatten(1).T.float()
    bilateral_N5 = torch.cat([place_N2 / crf.colour_xy, colour_N3 / crf.colour_rgb], dim=1)
    return [
        (crf.smooth_weight, Lattice.of(place_N2 / crf.smooth_xy)),
        (crf.colour_weight, Lattice.of(bilateral_N5)),
    ]
