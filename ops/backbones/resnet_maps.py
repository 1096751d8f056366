"""CLIP's image tower as TRIS reads it: four maps of the ResNet (TRIS spec 2.1, 5.1).

Works on open_clip's `CLIP` of any size whose picture tower is a `ModifiedResNet`, with nothing frozen. The
attention pool, which the authors run and throw away, is not run.
Shapes: B images, C channels, h x w cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:  # ops need its attributes, not its import
    from open_clip import CLIP

STAGES = [1, 2, 3, 4]
"""Of the tower's five blocks, all but the stem."""


def image_maps(clip: CLIP, images_B3HW: Tensor) -> list[Tensor]:
    """c1 to c4, (B, C, h, w) each, of strides 4, 8, 16 and 32, from normalised images.

    Batch norms use the statistics of the batch in training mode, as in the authors' training.
    """
    found = clip.visual.forward_intermediates(images_B3HW, indices=STAGES, intermediates_only=True)
    return list(found["image_intermediates"])
