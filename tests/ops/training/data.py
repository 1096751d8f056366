"""A data set that is small enough to train on in a test; light to import, for worker processes."""

import numpy as np
import torch
from torch import Tensor

from ops.training.dataset import ReferentDataset, TrainingReferent


def block(top: int, left: int, side: int = 16) -> Tensor:
    mask = torch.zeros(48, 48, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def some_data(images: int = 8) -> ReferentDataset:
    """Images with a bright left and a dark right square; word 5 means the left one, word 6 the right one."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 160, (images, 3, 48, 48)).astype(np.uint8)
    masks, referents = [], []
    for image in range(images):
        top = int(rng.integers(0, 32))
        stack = torch.stack([block(top, 2), block(top, 30)])
        pixels[image][:, stack[0].numpy()] = 230
        pixels[image][:, stack[1].numpy()] = 20
        masks.append(stack)
        for number, word in enumerate((5, 6)):
            ids = torch.tensor([[2, word, 3, 0, 0], [2, 7, word, 3, 0], [2, 8, word, 3, 0]])
            referents.append(
                TrainingReferent(image=image, candidates=(number,), token_ids_ST=ids, token_mask_ST=(ids > 0).long())
            )
    return ReferentDataset(pixels, masks, referents)
