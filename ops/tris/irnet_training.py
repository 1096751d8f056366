"""Training of IRNet: augmentation, batches, optimizer, and the mean displacement at the end (TRIS spec 4.4).

One sample is one referent: its image with its seed labels from `ops.tris.crf`.
Shapes: B samples, H x W pixels of an image, S side of the crop, s = S / 4 side of the grid.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from ops.images import normalise, resize_labels
from ops.refusal import Refused
from ops.training.dataset import ImageSamples
from ops.training.plan import Plan
from ops.training.sampler import Step
from ops.training.schedule import ChainedPolySchedule
from ops.training.train_state import History
from ops.training.trainer import Trainer, TrainingOptions
from ops.tris.affinity_loss import affinity_losses
from ops.tris.crf import IGNORE
from ops.tris.irnet import Irnet
from ops.tris.pseudo_labels import STRIDE

SeedItem = tuple[Tensor, Tensor, int]
"""An image (3, H, W), its labels (H, W) and the optimizer step that uses them."""


@dataclass(frozen=True, kw_only=True)
class IrnetPlan(Plan):
    """Hyperparameters of the training; the defaults are the authors'."""

    epochs: int = 3
    batch_size: int = 24
    """Samples of a step; the last ones of an epoch that do not fill a batch are left out."""
    crop: int = 512
    """Side of the training crop in pixels, a multiple of 4."""
    scales: tuple[float, float] = (0.5, 1.5)
    radius: int = 10
    """Pairs are closer than this, in pixels of the grid."""
    edge_lr: float = 0.1
    displacement_lr: float = 1.0
    weight_decay: float = 1e-4
    momentum: float = 1e-4
    """The authors pass their weight decay as the optimizer's momentum, too."""

    def __post_init__(self) -> None:
        """Refuse crops without a grid or without pairs."""
        if self.crop % STRIDE or self.crop // STRIDE <= 2 * (self.radius - 1):
            least = STRIDE * (2 * self.radius - 1)
            raise ValueError(f"crop={self.crop} must be a multiple of {STRIDE}, {least} or more for this radius")


def augment(
    image_3HW: Tensor, labels_HW: Tensor, *, plan: IrnetPlan, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Augmentation of one sample: random scale, mirroring and crop.

    Args:
        image_3HW: uint8 RGB.
        labels_HW: uint8 seed labels of one referent.
        plan: scales and crop.
        rng: source of randomness.

    Returns:
        A normalised (3, S, S) image, 0 outside of it, and (s, s) uint8 labels, 255 outside.
    """
    scale = rng.uniform(*plan.scales)
    height, width = (max(1, round(side * scale)) for side in labels_HW.shape)
    scaled_13HW = F.interpolate(
        image_3HW[None].float(), (height, width), mode="bicubic", antialias=True, align_corners=False
    )
    scaled_3HW = normalise(scaled_13HW[0].round().clamp(0, 255))
    labels_HW = resize_labels(labels_HW, height=height, width=width)
    if rng.random() < 0.5:
        scaled_3HW, labels_HW = scaled_3HW.flip(-1), labels_HW.flip(-1)
    top, left = (int(rng.integers(min(0, side - plan.crop), max(0, side - plan.crop) + 1)) for side in (height, width))
    cropped_3SS = crop(scaled_3HW, side=plan.crop, top=top, left=left, outside=0)
    labels_SS = crop(labels_HW, side=plan.crop, top=top, left=left, outside=IGNORE)
    return cropped_3SS, resize_labels(labels_SS, height=plan.crop // STRIDE, width=plan.crop // STRIDE)


def crop(maps_HW: Tensor, *, side: int, top: int = 0, left: int = 0, outside: float) -> Tensor:
    """Square crop of the last two axes from (top, left), which may be negative, padded with the constant `outside`."""
    height, width = maps_HW.shape[-2:]
    return F.pad(maps_HW, (-left, left + side - width, -top, top + side - height), value=outside)


@dataclass(frozen=True, kw_only=True)
class IrnetBatch:
    """Augmented samples, ready for the device."""

    images_B3SS: Tensor
    """Normalised."""
    labels_Bss: Tensor

    def __len__(self) -> int:
        """B."""
        return len(self.labels_Bss)

    def to(self, device: torch.device) -> Self:
        """The same batch on another device; the copy of pinned memory does not wait."""
        return replace(
            self,
            images_B3SS=self.images_B3SS.to(device, non_blocking=True),
            labels_Bss=self.labels_Bss.to(device, non_blocking=True),
        )

    def pin_memory(self) -> Self:
        """The same batch in pinned memory, from which a GPU copies by itself."""
        return replace(self, images_B3SS=self.images_B3SS.pin_memory(), labels_Bss=self.labels_Bss.pin_memory())


class SeedDataset(Dataset[SeedItem]):
    """Images with their seed labels, indexed by row and optimizer step."""

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take uint8 pairs of (3, H, W) images and (H, W) labels; the sequence may read them lazily.

        For worker processes it must be picklable.
        """
        self.pairs = pairs

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def __getitem__(self, samples: ImageSamples) -> SeedItem:
        """The image, its labels and the step of one sample."""
        ((row, step),) = samples
        return (*self.pairs[row], step)


class SeedSampler:
    """Full batches of pairs in an order that is a function of (seed, epoch); the remainder is left out."""

    def __init__(self, pairs: int, plan: IrnetPlan) -> None:
        """`pairs` is their number."""
        self.pairs, self.plan = pairs, plan

    @property
    def per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return self.pairs // self.plan.batch_size

    def epoch(self, epoch: int) -> list[Step]:
        """The batches of an epoch: samples are (row of the pair, step)."""
        order = np.random.default_rng([self.plan.seed, epoch]).permutation(self.pairs).tolist()
        first, size = epoch * self.per_epoch, self.plan.batch_size
        return [
            [[((row, first + number),) for row in order[number * size : (number + 1) * size]]]
            for number in range(self.per_epoch)
        ]


def augmented(items: Sequence[SeedItem], *, plan: IrnetPlan) -> IrnetBatch:
    """Augmented batch of one step; randomness is a function of (seed, step)."""
    rng = np.random.default_rng([plan.seed, items[0][2], 1])
    samples = [augment(image_3HW, labels_HW, plan=plan, rng=rng) for image_3HW, labels_HW, _ in items]
    return IrnetBatch(
        images_B3SS=torch.stack([image for image, _ in samples]),
        labels_Bss=torch.stack([labels for _, labels in samples]),
    )


@dataclass(frozen=True, kw_only=True)
class IrnetObjective:
    """Loss of affinities and displacements, see `ops.tris.affinity_loss`."""

    radius: int

    def __call__(self, net: Irnet, batch: IrnetBatch, _: int) -> Tensor:
        """The loss of a batch."""
        edge_logits_Bss, displacement_B2ss = net(batch.images_B3SS)
        return affinity_losses(edge_logits_Bss, displacement_B2ss, batch.labels_Bss, radius=self.radius).total


def train_irnet(
    net: Irnet, pairs: Sequence[tuple[Tensor, Tensor]], plan: IrnetPlan, **options: Unpack[TrainingOptions]
) -> History:
    """Train both branches in place, by stochastic gradient descent.

    Args:
        net: on its device.
        pairs: see `SeedDataset`.
        plan: epochs, batch size, rates and so on.
        options: saved state, hooks, processes; see `ops.training.trainer.Trainer`.

    Raises:
        Refused: there are fewer pairs than a batch has, or the saved state belongs to another plan or other data.
        FloatingPointError: the loss is not finite.
    """
    if len(pairs) < plan.batch_size:
        raise Refused(f"{len(pairs)} objects have seeds, fewer than a batch of {plan.batch_size}; lower batch_size")
    sampler = SeedSampler(len(pairs), plan)
    trainer = Trainer(
        model=net,
        optimizer=sgd(net, plan),
        plan=plan,
        schedule=ChainedPolySchedule(total=plan.epochs * sampler.per_epoch),
        sampler=sampler,
        dataset=SeedDataset(pairs),
        collate=partial(augmented, plan=plan),
        objective=IrnetObjective(radius=plan.radius),
        **options,
    )
    return trainer.run()


def sgd(net: Irnet, plan: IrnetPlan) -> torch.optim.SGD:
    """The authors' optimizer, SGD with a learning rate for each branch."""
    return torch.optim.SGD(
        [
            {"params": list(net.edge.parameters()), "lr": plan.edge_lr},
            {"params": list(net.displacement.parameters()), "lr": plan.displacement_lr},
        ],
        momentum=plan.momentum,
        weight_decay=plan.weight_decay,
    )


def top_left_crops(images: Iterable[Tensor], *, plan: IrnetPlan) -> Iterator[Tensor]:
    """Batches (B, 3, S, S) of normalised crops without augmentation, of uint8 images (3, H, W)."""
    squares: list[Tensor] = []
    for image_3HW in images:
        squares.append(crop(normalise(image_3HW), side=plan.crop, outside=0))
        if len(squares) == plan.batch_size:
            yield torch.stack(squares)
            squares = []
    if squares:
        yield torch.stack(squares)


@torch.no_grad()
def settle_mean_displacement(net: Irnet, batches: Iterable[Tensor]) -> Tensor:
    """Store the mean displacement over the training images, which is subtracted at inference.

    Args:
        net: trained; is switched to eval mode.
        batches: normalised images (B, 3, S, S), see `top_left_crops`.

    Returns:
        The mean (dy, dx), (2,): every batch has the same weight.

    Raises:
        ValueError: there is no batch.
    """
    net.eval()
    mean_2 = net.displacement.mean_2
    mean_2.zero_()
    means = [net.displacement(net.trunk(images_B3SS.to(mean_2.device))).mean((0, 2, 3)) for images_B3SS in batches]
    if not means:
        raise ValueError("no images to take the mean displacement of: pass at least one batch")
    mean_2.copy_(torch.stack(means).mean(0))
    return mean_2
