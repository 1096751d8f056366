"""What IRNet learns: neighbours of one label are alike and drift to one point, others are not (TRIS spec 4.3, 4.4).

Shapes: B pictures, H x W pixels of the quarter-size grid, O offsets, S inner sources (see `ops.tris.pixel_pairs`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ops.tris.pixel_pairs import affinities, offsets_O2, partners, sources

LABELS = 21
"""Labels from here on are no labels: 255 is to be ignored."""
TINY = 1e-5
"""Keeps logarithms and empty means finite."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Which pairs teach what, (B, O, S) bool each; a pair with an ignored end is in none."""

    background: Tensor
    """Both ends background."""
    foreground: Tensor
    """Both ends in one object."""
    different: Tensor
    """One end in an object, the other not."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The four terms, scalars."""

    alike: Tensor
    different: Tensor
    drift_foreground: Tensor
    drift_background: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return (self.alike + self.different) / 2 + (self.drift_foreground + self.drift_background) / 2


def label_pairs(labels_BHW: Tensor, *, radius: int) -> Pairs:
    """Compare the labels (0 background, 1.. objects, 255 ignored) at both ends of every pair."""
    here_BOS, there_BOS = sources(labels_BHW, radius)[..., None, :], partners(labels_BHW, radius)
    known_BOS = (here_BOS < LABELS) & (there_BOS < LABELS)
    same_BOS = known_BOS & (here_BOS == there_BOS)
    return Pairs(
        background=same_BOS & (here_BOS == 0),
        foreground=same_BOS & (here_BOS > 0),
        different=known_BOS & ~same_BOS,
    )


def affinity_losses(edge_logits_BHW: Tensor, displacement_B2HW: Tensor, labels_BHW: Tensor, *, radius: int) -> Losses:
    """The losses of a batch; means run over all its pairs of a kind.

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
    apart_BOS = -torch.log1p(TINY - affinity_BOS)
    together_BOS = -torch.log(affinity_BOS + TINY)
    drift_BO2S = (sources(displacement_B2HW, radius)[:, :, None] - partners(displacement_B2HW, radius)).transpose(1, 2)
    offset_O21 = offsets_O2(radius).to(drift_BO2S)[..., None]
    return Losses(
        alike=_mean(together_BOS, pairs.background) / 2 + _mean(together_BOS, pairs.foreground) / 2,
        different=_mean(apart_BOS, pairs.different),
        drift_foreground=_mean((drift_BO2S - offset_O21).abs().sum(2), pairs.foreground) / 2,
        drift_background=_mean(drift_BO2S.abs().sum(2), pairs.background) / 2,
    )


def _mean(values_BOS: Tensor, chosen_BOS: Tensor) -> Tensor:
    """Mean over the chosen pairs, 0 if there are none."""
    return (values_BOS * chosen_BOS).sum() / (chosen_BOS.sum() + TINY)
