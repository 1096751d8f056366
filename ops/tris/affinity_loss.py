"""Loss of IRNet: affinities and displacements of pixel pairs with equal and with different labels (TRIS spec 4.3, 4.4).

Shapes: B images, H x W pixels of the quarter-size grid, O offsets, S inner sources (see `ops.tris.pixel_pairs`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ops.tris.pixel_pairs import affinities, offsets_O2, partners, sources

LABELS = 21
"""Number of labels; higher values, such as 255, are ignored."""
EPSILON = 1e-5
"""Keeps logarithms and empty means finite."""


@dataclass(frozen=True, kw_only=True)
class LabelPairs:
    """Pairs by their labels, (B, O, S) bool each; a pair with an ignored end is in none."""

    background: Tensor
    """Both ends background."""
    foreground: Tensor
    """Both ends in one referent."""
    different: Tensor
    """The ends have different labels."""


@dataclass(frozen=True, kw_only=True)
class AffinityLosses:
    """The four loss terms, scalars."""

    same_label: Tensor
    different_label: Tensor
    displacement_foreground: Tensor
    displacement_background: Tensor

    @property
    def total(self) -> Tensor:
        """The loss that is minimised."""
        affinity = (self.same_label + self.different_label) / 2
        return affinity + (self.displacement_foreground + self.displacement_background) / 2


def label_pairs(labels_BHW: Tensor, *, radius: int) -> LabelPairs:
    """Compare the labels (0 background, 1.. referents, 255 ignored) at both ends of every pair."""
    source_BOS, partner_BOS = sources(labels_BHW, radius)[..., None, :], partners(labels_BHW, radius)
    labelled_BOS = (source_BOS < LABELS) & (partner_BOS < LABELS)
    same_BOS = labelled_BOS & (source_BOS == partner_BOS)
    return LabelPairs(
        background=same_BOS & (source_BOS == 0),
        foreground=same_BOS & (source_BOS > 0),
        different=labelled_BOS & ~same_BOS,
    )


def affinity_losses(
    edge_logits_BHW: Tensor, displacement_B2HW: Tensor, labels_BHW: Tensor, *, radius: int
) -> AffinityLosses:
    """Loss terms of a batch, each a mean over all its pairs of a kind.

    Args:
        edge_logits_BHW: the edge branch's output.
        displacement_B2HW: (dy, dx), in pixels of this grid.
        labels_BHW: uint8 as in `label_pairs`.
        radius: pairs closer than so many pixels of this grid.

    Raises:
        ValueError: the maps are too small for the radius.
    """
    pairs = label_pairs(labels_BHW, radius=radius)
    affinity_BOS = affinities(edge_logits_BHW.sigmoid(), radius)
    different_BOS = -torch.log1p(EPSILON - affinity_BOS)
    same_BOS = -torch.log(affinity_BOS + EPSILON)
    difference_B2OS = sources(displacement_B2HW, radius)[:, :, None] - partners(displacement_B2HW, radius)
    difference_BO2S = difference_B2OS.transpose(1, 2)
    offset_O21 = offsets_O2(radius).to(difference_BO2S)[..., None]
    return AffinityLosses(
        same_label=_mean(same_BOS, pairs.background) / 2 + _mean(same_BOS, pairs.foreground) / 2,
        different_label=_mean(different_BOS, pairs.different),
        displacement_foreground=_mean((difference_BO2S - offset_O21).abs().sum(2), pairs.foreground) / 2,
        displacement_background=_mean(difference_BO2S.abs().sum(2), pairs.background) / 2,
    )


def _mean(values_BOS: Tensor, chosen_BOS: Tensor) -> Tensor:
    """Mean over the chosen pairs, 0 if there are none."""
    return (values_BOS * chosen_BOS).sum() / (chosen_BOS.sum() + EPSILON)
