"""What a training step sees: images, sentences and candidate masks held in memory, packed by whole images.

Order and choice of sentences are a pure function of (seed, epoch), so a resumed run sees what an undisturbed one would.
Shapes: N images of the data set, I images of a batch, B samples of a batch, K candidates, S sentences, T word pieces,
H x W pixels at the model's size.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Sentences = Literal["one", "two", "all"]
"""Per epoch and object: one random sentence (the paper), two different ones, or all of them."""

Masks = Tensor | npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TrainingObject:
    """One object of an image: its sentences and the masks that may be it."""

    image: int
    """Row of the image."""
    candidates: tuple[int, ...]
    """Rows of the image's masks; a pseudo-label is one row, a set of candidates several."""
    token_ids_ST: Tensor
    token_mask_ST: Tensor
    name: int = -1
    """The caller's number of the object; training does not look at it."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples of whole images, ready for the device."""

    images_I3HW: Tensor
    image_of_B: Tensor
    object_of_B: Tensor
    """Row of the object in the data set: samples of one object share it."""
    token_ids_BT: Tensor
    token_mask_BT: Tensor
    masks: tuple[Tensor, ...]
    """For each image of the batch its (K, H, W) bool candidates."""
    candidates: tuple[tuple[int, ...], ...]
    """For each sample the rows of its image's masks that may be it."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.image_of_B)

    def targets_BHW(self) -> Tensor:
        """The pseudo-label of each sample: its first candidate."""
        rows = zip(self.image_of_B.tolist(), self.candidates, strict=True)
        return torch.stack([self.masks[image][candidates[0]] for image, candidates in rows])

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(
            images_I3HW=self.images_I3HW.to(device, non_blocking=True),
            image_of_B=self.image_of_B.to(device),
            object_of_B=self.object_of_B.to(device),
            token_ids_BT=self.token_ids_BT.to(device),
            token_mask_BT=self.token_mask_BT.to(device),
            masks=tuple(stack.to(device, non_blocking=True) for stack in self.masks),
            candidates=self.candidates,
        )


class SampleSource(Protocol):
    """What the training loop asks of its data."""

    def batches(self, *, size: int, sentences: Sentences) -> int:
        """How many batches of about `size` samples an epoch has; the same for every epoch."""
        ...

    def epoch(self, *, size: int, sentences: Sentences, seed: int, epoch: int) -> Sequence[Sequence[tuple[int, int]]]:
        """The (object, sentence) samples of every batch."""
        ...

    def split(self, samples: Sequence[tuple[int, int]], *, parts: int) -> Sequence[Sequence[tuple[int, int]]]:
        """The samples of a batch in so many shares of whole images."""
        ...

    def batch(self, samples: Sequence[tuple[int, int]]) -> Batch:
        """The tensors of the given samples."""
        ...


class InMemorySamples:
    """A data set whose images and masks were brought to the model's size beforehand, once per image.

    Both may be memory maps: a stack of masks is asked for when its image is in a batch.

    A candidate that is empty or covers the whole image teaches nothing and is left out; an object without any other
    candidate is dropped (spec 4.8) and counted in `dropped`.
    """

    def __init__(
        self,
        images_N3HW: Tensor | npt.NDArray[np.uint8],
        masks: Sequence[Masks],
        objects: Sequence[TrainingObject],
    ) -> None:
        """Take images (N, 3, H, W) uint8, bool masks (K, H, W) per image, and objects."""
        if len(images_N3HW) != len(masks):
            raise ValueError(f"{len(images_N3HW)} images but masks of {len(masks)}; pass one (K, H, W) stack per image")
        self.images_N3HW = images_N3HW
        self.masks = masks
        usable = [usable_rows(torch.as_tensor(stack)) for stack in masks]
        kept = [with_candidates(one, usable[one.image]) for one in objects]
        self.objects = [one for one in kept if one.candidates]
        self.dropped = len(objects) - len(self.objects)
        self.objects_of_image: dict[int, list[int]] = {}
        for number, one in enumerate(self.objects):
            self.objects_of_image.setdefault(one.image, []).append(number)
        if not self.objects:
            raise ValueError("no object has a usable mask: every pseudo-label is empty or covers its whole image")

    def __len__(self) -> int:
        """Number of objects that take part in training."""
        return len(self.objects)

    def sentences_of(self, number: int, sentences: Sentences) -> int:
        """How many samples an object gives per epoch."""
        available = len(self.objects[number].token_ids_ST)
        return {"one": 1, "two": min(2, available), "all": available}[sentences]

    def batches(self, *, size: int, sentences: Sentences) -> int:
        """Batches per epoch: samples / size rounded up, but no more than there are images."""
        samples = sum(self.sentences_of(number, sentences) for number in range(len(self)))
        return min(-(-samples // size), len(self.objects_of_image))

    def epoch(self, *, size: int, sentences: Sentences, seed: int, epoch: int) -> list[list[tuple[int, int]]]:
        """Shuffle the images and give each, whole, to the batch that is shortest so far.

        Every epoch has the same number of batches and there is no short last one: samples are spread evenly, so a
        batch differs from `size` by a few samples.
        """
        rng = np.random.default_rng([seed, epoch])
        images = rng.permutation(sorted(self.objects_of_image)).tolist()
        packed: list[list[tuple[int, int]]] = [[] for _ in range(self.batches(size=size, sentences=sentences))]
        shortest = [(0, row) for row in range(len(packed))]
        for image in images:
            _, row = heapq.heappop(shortest)
            for number in self.objects_of_image[image]:
                available = len(self.objects[number].token_ids_ST)
                count = self.sentences_of(number, sentences)
                drawn = rng.choice(available, count, replace=False).tolist() if sentences != "all" else range(available)
                packed[row].extend((number, sentence) for sentence in drawn)
            heapq.heappush(shortest, (len(packed[row]), row))
        return packed

    def split(self, samples: Sequence[tuple[int, int]], *, parts: int) -> list[list[tuple[int, int]]]:
        """Give each image, whole and in turn, to the share that is shortest so far.

        Raises:
            ValueError: there are fewer images than parts.
        """
        whole: dict[int, list[tuple[int, int]]] = {}
        for number, sentence in samples:
            whole.setdefault(self.objects[number].image, []).append((number, sentence))
        if len(whole) < parts:
            raise ValueError(
                f"a batch of {len(whole)} images cannot be shared by {parts} processes; "
                "raise batch_size, or lower accumulate or processes"
            )
        shares: list[list[tuple[int, int]]] = [[] for _ in range(parts)]
        for group in whole.values():
            min(shares, key=len).extend(group)
        return shares

    def batch(self, samples: Sequence[tuple[int, int]]) -> Batch:
        """Gather the tensors of (object, sentence) samples."""
        objects = [self.objects[number] for number, _ in samples]
        images = sorted({one.image for one in objects})
        row_of = {image: row for row, image in enumerate(images)}
        token_ids_BT = torch.stack([self.objects[number].token_ids_ST[row] for number, row in samples])
        token_mask_BT = torch.stack([self.objects[number].token_mask_ST[row] for number, row in samples])
        longest = int(token_ids_BT.any(0).nonzero().max()) + 1  # padding is 0; the mask leaves CLIP's end out
        return Batch(
            images_I3HW=torch.as_tensor(self.images_N3HW[images]),
            image_of_B=torch.tensor([row_of[one.image] for one in objects]),
            object_of_B=torch.tensor([number for number, _ in samples]),
            token_ids_BT=token_ids_BT[:, :longest],
            token_mask_BT=token_mask_BT[:, :longest],
            masks=tuple(torch.as_tensor(self.masks[image]) for image in images),
            candidates=tuple(one.candidates for one in objects),
        )


def usable_rows(masks_KHW: Tensor) -> set[int]:
    """Rows of the masks that are neither empty nor full."""
    areas_K = masks_KHW.flatten(1).sum(1)
    return (
        set(((areas_K > 0) & (areas_K < masks_KHW[0].numel())).nonzero().flatten().tolist()) if len(areas_K) else set()
    )


def with_candidates(one: TrainingObject, usable: set[int]) -> TrainingObject:
    """The object with only its usable candidates."""
    return replace(one, candidates=tuple(row for row in one.candidates if row in usable))
