"""Feature maps of the four stages of CLIP's ResNet, TRIS's backbone (TRIS spec 2.1, 5.1).

For open_clip's `CLIP` of any size whose image tower is a `ModifiedResNet`; gradients reach all stages. The attention
pool, whose output the authors discard, is not run.
Shapes: B images, C channels, h x w cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:  # ops need its attributes, not its import
    from open_clip import CLIP

STAGES = [1, 2, 3, 4]
"""Indices of the four stages among the tower's blocks, of which the stem is 0."""


def image_maps(clip: CLIP, images_B3HW: Tensor) -> list[Tensor]:
    """Maps c1 to c4, (B, C, h, w) each, of strides 4, 8, 16 and 32, of normalised images.

    In training mode batch norms use the statistics of the batch, as in the authors' training.
    """
    outputs = clip.visual.forward_intermediates(images_B3HW, indices=STAGES, intermediates_only=True)
    return list(outputs["image_intermediates"])
