"""Training set of a segmenter: images, expressions and masks, as a torch data set whose batches hold whole images.

Shapes: N images of the data set, I images of a batch, B samples of a batch, S expressions, K masks of an image,
M masks of a batch, T word pieces, H x W pixels at the model's size.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ops.refusal import Refused

Sample = tuple[int, int]
"""Rows of a referent and of one of its expressions."""
ImageSamples = tuple[Sample, ...]
"""Samples of one image: an index of the data set."""
Masks = Tensor | npt.NDArray[np.bool_]


class Images(Protocol):
    """Images (N, 3, H, W) uint8: a tensor, an array, or a reader of a file that is pickled by its path."""

    def __getitem__(self, rows: Any, /) -> Any:
        """The images of a list of rows, copied."""

    def __len__(self) -> int:
        """N."""


@dataclass(frozen=True, kw_only=True)
class TrainingReferent:
    """One referent of an image: its expressions and its candidate masks."""

    image: int
    """Row of the image."""
    candidates: tuple[int, ...]
    """Rows of the image's masks; a pseudo-label is one row, a set of candidates several."""
    token_ids_ST: Tensor
    token_mask_ST: Tensor
    name: int = -1
    """The caller's number of the referent; training does not read it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by value: tensors would each take a shared-memory handle, of which a process has about a thousand."""
        arrays = self.token_ids_ST.numpy(), self.token_mask_ST.numpy()
        return _referent, (self.image, self.candidates, *arrays, self.name)


def _referent(
    image: int, candidates: tuple[int, ...], ids_ST: npt.NDArray[Any], mask_ST: npt.NDArray[Any], name: int
) -> TrainingReferent:
    tokens = {"token_ids_ST": torch.from_numpy(ids_ST), "token_mask_ST": torch.from_numpy(mask_ST)}
    return TrainingReferent(image=image, candidates=candidates, name=name, **tokens)


@dataclass(frozen=True, kw_only=True)
class ImageItem:
    """An image with some of its samples."""

    row: int
    image_3HW: Tensor
    masks_KHW: Tensor | None
    samples: ImageSamples
    candidates: Sequence[tuple[int, ...]]
    """For each sample the rows of its candidate masks."""
    token_ids_ST: Tensor
    token_mask_ST: Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples of whole images, ready for the device."""

    images_I3HW: Tensor
    image_of_B: Tensor
    referent_of_B: Tensor
    """Row of the referent in the data set: samples of one referent share it."""
    token_ids_BT: Tensor
    token_mask_BT: Tensor
    masks_MHW: Tensor
    """Bool, those of the first image first."""
    masks_of_I: tuple[int, ...]
    """K of each image."""
    candidates: tuple[tuple[int, ...], ...]
    """For each sample the rows of its candidates in its image's masks."""
    samples: tuple[Sample, ...] = ()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.image_of_B)

    @property
    def masks(self) -> tuple[Tensor, ...]:
        """For each image its (K, H, W) candidates."""
        return torch.split(self.masks_MHW, list(self.masks_of_I))

    def targets_BHW(self) -> Tensor:
        """The pseudo-label of each sample: its first candidate.

        Raises:
            ValueError: the data set has no masks.
        """
        if not self.masks_of_I:
            raise ValueError("these samples have no masks: pass some, only TRIS's Step 1 is trained without")
        masks = self.masks
        rows = zip(self.image_of_B.tolist(), self.candidates, strict=True)
        return torch.stack([masks[image][candidates[0]] for image, candidates in rows])

    def to(self, device: torch.device) -> Self:
        """The same batch on another device; the copy of pinned memory does not wait."""
        return self._each(lambda value: value.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The same batch in pinned memory, from which a GPU copies by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Every tensor changed."""
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changed[field.name] = change(value)
        return replace(self, **changed)


class ReferentDataset(Dataset[ImageItem]):
    """Images and masks, resized to the model's size beforehand, once per image, and their referents.

    Both may be memory maps: pixels and masks of an image are read when it is in a batch. For worker processes they must
    be pickled by their paths, not by their content.
    """

    def __init__(
        self, images_N3HW: Images, masks: Sequence[Masks] | None, referents: Sequence[TrainingReferent]
    ) -> None:
        """Take images (N, 3, H, W) uint8, bool masks (K, H, W) per image (None: without supervision), and referents.

        Raises:
            Refused: there is no referent.
            ValueError: there are not as many images as stacks of masks.
        """
        if masks is not None and len(images_N3HW) != len(masks):
            raise ValueError(f"{len(images_N3HW)} images but masks of {len(masks)}; pass one (K, H, W) stack per image")
        if not referents:
            raise Refused("there is no object to train on: no image of the training split can be read")
        self.images_N3HW, self.masks, self.referents = images_N3HW, masks, referents
        self.referents_of_image: dict[int, list[int]] = {}
        for number, referent in enumerate(referents):
            self.referents_of_image.setdefault(referent.image, []).append(number)

    def __len__(self) -> int:
        """Number of referents."""
        return len(self.referents)

    def __getitem__(self, samples: ImageSamples) -> ImageItem:
        """The image that the (referent, expression) samples share, and what they say of it."""
        chosen = [(self.referents[number], expression) for number, expression in samples]
        row = chosen[0][0].image
        return ImageItem(
            row=row,
            image_3HW=torch.as_tensor(self.images_N3HW[[row]])[0],
            masks_KHW=None if self.masks is None else torch.as_tensor(self.masks[row]),
            samples=samples,
            candidates=[referent.candidates for referent, _ in chosen],
            token_ids_ST=torch.stack([referent.token_ids_ST[expression] for referent, expression in chosen]),
            token_mask_ST=torch.stack([referent.token_mask_ST[expression] for referent, expression in chosen]),
        )

    def batch(self, samples: Iterable[Sample], *, trim: bool = True) -> Batch:
        """The batch of some samples, see `collate`; those of one image become adjacent."""
        return collate([self[group] for group in self.by_image(samples)], trim=trim)

    def by_image(self, samples: Iterable[Sample]) -> list[ImageSamples]:
        """The samples of each image, images in the order in which they come first."""
        groups: dict[int, list[Sample]] = {}
        for sample in samples:
            groups.setdefault(self.referents[sample[0]].image, []).append(sample)
        return [tuple(group) for group in groups.values()]


def collate(items: Sequence[ImageItem], *, trim: bool = True) -> Batch:
    """Batch of images with their samples; an image that occurs several times is held once.

    Args:
        items: of a `ReferentDataset`; the samples keep this order, images come in the order of the data set.
        trim: truncate tokens to the longest expression of the batch; else all have the tokenizer's length.
    """
    images = sorted({item.row: item for item in items}.items())
    row_of = {row: number for number, (row, _) in enumerate(images)}
    token_ids_BT = torch.cat([item.token_ids_ST for item in items])
    token_mask_BT = torch.cat([item.token_mask_ST for item in items])
    length = token_ids_BT.shape[1]
    if trim:
        length = int(token_ids_BT.any(0).nonzero().max()) + 1  # padding is 0; the mask leaves CLIP's end out
    images_I3HW = torch.stack([item.image_3HW for _, item in images])
    masks = [item.masks_KHW for _, item in images if item.masks_KHW is not None]
    samples = tuple(sample for item in items for sample in item.samples)
    return Batch(
        images_I3HW=images_I3HW,
        image_of_B=torch.tensor([row_of[item.row] for item in items for _ in item.samples]),
        referent_of_B=torch.tensor([number for number, _ in samples]),
        token_ids_BT=token_ids_BT[:, :length],
        token_mask_BT=token_mask_BT[:, :length],
        masks_MHW=torch.cat(masks) if masks else torch.zeros(0, *images_I3HW.shape[-2:], dtype=torch.bool),
        masks_of_I=tuple(map(len, masks)),
        candidates=tuple(rows for item in items for rows in item.candidates),
        samples=samples,
    )


def usable_referents(masks: Sequence[Masks], referents: Sequence[TrainingReferent]) -> list[TrainingReferent]:
    """Referents with their usable candidates (S+S+C spec 4.8).

    A mask that is empty or covers its whole image is left out, and so is a referent without any other candidate.

    Raises:
        Refused: no referent is left.
    """
    usable = [usable_rows(torch.as_tensor(stack)) for stack in masks]
    kept = [with_candidates(referent, usable[referent.image]) for referent in referents]
    kept = [referent for referent in kept if referent.candidates]
    if not kept:
        raise Refused("no object has a usable mask: every pseudo-label is empty or covers its whole image")
    return kept


def usable_rows(masks_KHW: Tensor) -> set[int]:
    """Rows of the masks that are neither empty nor full."""
    areas_K = masks_KHW.flatten(1).sum(1)
    return (
        set(((areas_K > 0) & (areas_K < masks_KHW[0].numel())).nonzero().flatten().tolist()) if len(areas_K) else set()
    )


def with_candidates(referent: TrainingReferent, usable: set[int]) -> TrainingReferent:
    """The referent with only its usable candidates."""
    return replace(referent, candidates=tuple(row for row in referent.candidates if row in usable))
