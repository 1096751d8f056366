"""How IRNet learns: augmentation, optimiser, a step, and the mean displacement at the end (TRIS spec 4.4).

One sample is one object: its picture with its seed labels from `ops.tris.crf`.
Shapes: B samples, H x W pixels of a picture, S side of the crop, s = S / 4 side of the grid.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ops.images import normalise, resize_labels
from ops.tris.affinity_loss import Losses, affinity_losses
from ops.tris.crf import IGNORE
from ops.tris.irnet import Irnet
from ops.tris.pseudo_labels import STRIDE


@dataclass(frozen=True, kw_only=True)
class IrnetPlan:
    """How long and how fast to train; the defaults are the authors'."""

    epochs: int = 3
    batch_size: int = 24
    """Samples of a step; the last ones of an epoch that make no full batch are left out."""
    crop: int = 512
    """Side of the training crop in pixels, a multiple of 4."""
    scales: tuple[float, float] = (0.5, 1.5)
    radius: int = 10
    """Pairs closer than so many pixels of the grid are compared."""
    edge_lr: float = 0.1
    displacement_lr: float = 1.0
    weight_decay: float = 1e-4
    momentum: float = 1e-4
    """The authors hand their weight decay to the optimiser's momentum too."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse crops without a grid or without pairs."""
        if self.crop % STRIDE or self.crop // STRIDE <= 2 * (self.radius - 1):
            least = STRIDE * (2 * self.radius - 1)
            raise ValueError(f"crop={self.crop} must be a multiple of {STRIDE}, {least} or more for this radius")

    def steps(self, samples: int) -> int:
        """Optimiser steps of the whole training."""
        return self.epochs * (samples // self.batch_size)


def augment(
    image_3HW: Tensor, labels_HW: Tensor, *, plan: IrnetPlan, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Scale, mirror and crop one sample at random.

    Args:
        image_3HW: uint8 RGB.
        labels_HW: uint8 seed labels of one object.
        plan: scales and crop.
        rng: source of all chance.

    Returns:
        A normalised (3, S, S) picture, 0 outside of it, and (s, s) uint8 labels, 255 outside.
    """
    scale = rng.uniform(*plan.scales)
    height, width = (max(1, round(side * scale)) for side in labels_HW.shape)
    scaled_13HW = F.interpolate(
        image_3HW[None].float(), (height, width), mode="bicubic", antialias=True, align_corners=False
    )
    picture_3HW = normalise(scaled_13HW[0].round().clamp(0, 255))
    labels_HW = resize_labels(labels_HW, height=height, width=width)
    if rng.random() < 0.5:
        picture_3HW, labels_HW = picture_3HW.flip(-1), labels_HW.flip(-1)
    top, left = (int(rng.integers(min(0, side - plan.crop), max(0, side - plan.crop) + 1)) for side in (height, width))
    picture_3SS = crop(picture_3HW, side=plan.crop, top=top, left=left, outside=0)
    labels_SS = crop(labels_HW, side=plan.crop, top=top, left=left, outside=IGNORE)
    return picture_3SS, resize_labels(labels_SS, height=plan.crop // STRIDE, width=plan.crop // STRIDE)


def crop(maps_HW: Tensor, *, side: int, top: int = 0, left: int = 0, outside: float) -> Tensor:
    """A square of the last two axes that starts at (top, left), negative for outside, filled up with a constant."""
    height, width = maps_HW.shape[-2:]
    return F.pad(maps_HW, (-left, left + side - width, -top, top + side - height), value=outside)


class IrnetTraining:
    """The training of one net between two steps."""

    def __init__(self, net: Irnet, plan: IrnetPlan, *, total: int) -> None:
        """Start at step 0 of `total`."""
        self.net, self.plan, self.step = net, plan, 0
        self.optimiser = torch.optim.SGD(
            [
                {"params": list(net.edge.parameters()), "lr": plan.edge_lr},
                {"params": list(net.displacement.parameters()), "lr": plan.displacement_lr},
            ],
            momentum=plan.momentum,
            weight_decay=plan.weight_decay,
        )
        self.schedule = torch.optim.lr_scheduler.PolynomialLR(self.optimiser, total_iters=total, power=0.9)

    def advance(self, images_B3SS: Tensor, labels_Bss: Tensor) -> Losses:
        """One optimiser step on a batch of augmented samples; the losses before it.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        self.net.train()
        edge_logits_Bss, displacement_B2ss = self.net(images_B3SS)
        losses = affinity_losses(edge_logits_Bss, displacement_B2ss, labels_Bss, radius=self.plan.radius)
        if not torch.isfinite(losses.total):
            raise FloatingPointError(f"the loss is {losses.total.item()} at step {self.step}; lower the rates")
        self.optimiser.zero_grad()
        losses.total.backward()
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        return losses

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs, plain containers and live tensors."""
        return {
            "step": self.step,
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken from a training of the same plan and total."""
        self.step = state["step"]
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])


@torch.no_grad()
def settle_mean_displacement(net: Irnet, batches: Iterable[Tensor]) -> Tensor:
    """Store the mean displacement over the training pictures, which inference takes off; puts the net into eval mode.

    Args:
        net: trained.
        batches: normalised pictures (B, 3, S, S): top left crops, see `crop`, without augmentation.

    Returns:
        The mean (dy, dx), (2,): every batch weighs the same.

    Raises:
        ValueError: there is no batch.
    """
    net.eval()
    net.displacement.mean_2.zero_()
    means = [net.displacement(net.trunk(images_B3SS)).mean((0, 2, 3)) for images_B3SS in batches]
    if not means:
        raise ValueError("no pictures to take the mean displacement of: pass at least one batch")
    net.displacement.mean_2.copy_(torch.stack(means).mean(0))
    return net.displacement.mean_2
