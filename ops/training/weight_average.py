"""Moving average of a model's weights over the steps of its training.

Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; as the teacher of Tarvainen and
Valpola, "Mean teachers are better role models", 2017.

After step t, counted from 1, the average keeps min(most, (1 + t) / (10 + t)) of itself and takes the rest from the
model: a short training forgets the weights that it began with. Buffers of numbers, those of batch norm, are averaged
with the weights; integers are the last ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn


@dataclass(kw_only=True)
class WeightAverage:
    """The average so far."""

    most: float
    """Share of itself that it keeps in the long run, below 1."""
    weights: dict[str, Tensor]
    """As the model's own state, on its device; live."""

    @classmethod
    def of(cls, model: nn.Module, *, most: float) -> Self:
        """The weights that training begins with."""
        return cls(most=most, weights={name: value.clone() for name, value in model.state_dict().items()})

    @torch.no_grad()
    def update(self, model: nn.Module, *, step: int) -> None:
        """Take in the weights after a step."""
        kept = share_kept(step, most=self.most)
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - kept)
            else:
                self.weights[name].copy_(value)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from a saved average."""
        for name, value in weights.items():
            self.weights[name].copy_(value)


def share_kept(step: int, *, most: float) -> float:
    """What the average keeps of itself after a step, counted from 1."""
    return min(most, (1 + step) / (10 + step))
