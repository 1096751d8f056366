"""What TRIS trains on: objects, each with one random expression per epoch (TRIS spec 1.2).

Order and expressions are a pure function of (seed, epoch), so a resumed training sees what an undisturbed one would.
Shapes: N images, O objects, B samples, S sentences of an object, T tokens, K masks of an image, H x W pixels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ops.training.dataset import Masks, TrainingObject

Sample = tuple[int, int]
"""Rows of an object and of one of its sentences."""


class ObjectSamples:
    """Objects of images that were brought to the model's size beforehand; both may be memory maps."""

    def __init__(
        self,
        images_N3HW: Tensor | npt.NDArray[np.uint8],
        objects: Sequence[TrainingObject],
        masks: Sequence[Masks] | None = None,
    ) -> None:
        """Take images (N, 3, H, W) uint8, objects, and, for Step 2, the masks (K, H, W) of each image.

        Raises:
            ValueError: there is no object.
        """
        if not objects:
            raise ValueError("there is no object to train on: no image of the training split can be read")
        self.images_N3HW, self.objects, self._masks = images_N3HW, objects, masks

    def __len__(self) -> int:
        """Number of objects, and of samples in an epoch."""
        return len(self.objects)

    def batches(self, size: int) -> int:
        """Batches of an epoch, the last and shorter one included."""
        return -(-len(self) // size)

    def epoch(self, *, size: int, seed: int, epoch: int) -> list[list[Sample]]:
        """Every object once, in random order, with a sentence drawn uniformly."""
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self)).tolist()
        drawn = [(number, int(rng.integers(len(self.objects[number].token_ids_ST)))) for number in order]
        return [drawn[start : start + size] for start in range(0, len(drawn), size)]

    def images(self, samples: Sequence[Sample]) -> Tensor:
        """(B, 3, H, W) uint8, one a sample."""
        return torch.as_tensor(self.images_N3HW[[self.objects[number].image for number, _ in samples]])

    def image_rows(self, samples: Sequence[Sample]) -> Tensor:
        """(B,) rows of the images."""
        return torch.tensor([self.objects[number].image for number, _ in samples])

    def ids(self, samples: Sequence[Sample]) -> Tensor:
        """(B, T) tokens of the sentences."""
        return torch.stack([self.objects[number].token_ids_ST[row] for number, row in samples])

    def masks(self, samples: Sequence[Sample]) -> Tensor:
        """(B, 1, H, W) bool, the mask of each sample's object.

        Raises:
            ValueError: the samples have no masks.
        """
        if self._masks is None:
            raise ValueError("these samples have no masks: Step 1 learns without, pass some for Step 2")
        of = [self.objects[number] for number, _ in samples]
        return torch.stack([torch.as_tensor(self._masks[one.image][one.candidates[0]]) for one in of])[:, None]
