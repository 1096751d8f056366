"""Global-local CLIP features of candidates and expressions (GL-CLIP, Yu et al., CVPR 2023; S+S+C spec 3.6).

The global visual feature is that of the whole image with all tokens outside the candidate masked in the last blocks,
the local one that of the masked crop of the candidate. Likewise the text feature combines the expression with the chunk
of its head noun. CLIP itself is not here: these functions prepare its inputs and combine its outputs.

Shapes: N candidates, H x W pixels, S the side of CLIP's input, G x G its tokens, D embedding width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ops.boxes import tight_box
from ops.images import CLIP, resize_image
from ops.ssc.nouns import Parse, noun_phrases
from ops.ssc.visual_prompts import Masks

EXPRESSION_SHARE = 0.5
"""Weight of the whole expression in the text feature; the rest is that of the head noun's chunk."""

FIRST_OF_TWELVE = 9
"""Tokens are masked before block 9 (counted from 0) of ViT-B/32's twelve and before each block after it."""


def first_masked_block(depth: int) -> int:
    """Index of the first block with masked tokens: the last quarter of the blocks, at least one."""
    return depth * FIRST_OF_TWELVE // 12


def token_weights(masks_NHW: Masks, *, grid: tuple[int, int]) -> Tensor:
    """Share of each token's patch that a mask covers, in an image resized to CLIP's square input.

    Means over cells, so that a candidate smaller than a patch keeps a weight above 0.

    Returns:
        (N, G, G) float32 in [0, 1]; exactly 1 where the whole patch lies in the mask.
    """
    return F.adaptive_avg_pool2d(torch.as_tensor(masks_NHW).float(), grid)


def resized_to_square(image_3HW: Tensor, *, side: int) -> Tensor:
    """The whole image at CLIP's input size, (3, S, S) uint8; as in GL-CLIP its aspect ratio is not kept."""
    return resize_image(image_3HW, height=side, width=side)


def masked_crops(image_3HW: Tensor, masks_NHW: Masks, *, side: int, colour: tuple[float, ...] = CLIP.mean) -> Tensor:
    """Crop of each candidate by its box, other pixels in CLIP's mean colour, resized to CLIP's square input.

    Args:
        image_3HW: uint8 RGB.
        masks_NHW: candidates at the same size; an empty one gives an image of the mean colour.
        side: S.
        colour: CLIP's mean of RGB in [0, 1].

    Returns:
        (N, 3, S, S) uint8.
    """
    colour_311 = torch.tensor([round(255 * mean) for mean in colour], dtype=torch.uint8).view(3, 1, 1)
    crops = []
    for mask_HW in torch.as_tensor(masks_NHW).bool():
        x0, y0, x1, y1 = tight_box(mask_HW.cpu().numpy()) or (0, 0, image_3HW.shape[2], image_3HW.shape[1])
        window = (slice(y0, y1), slice(x0, x1))
        crops.append(resized_to_square(torch.where(mask_HW[window], image_3HW[:, *window], colour_311), side=side))
    return torch.stack(crops) if crops else image_3HW.new_zeros(0, 3, side, side)


def head_chunks(expressions: Sequence[str], parse: Parse) -> list[str]:
    """Chunk of each expression's head noun, such as "red cup"; the expression itself where no noun is found.

    The chunk is the first of the rule `chunk` (spec 2.2 and section 7, row 2): the key noun with its left modifiers.
    """
    chunks_of = noun_phrases(expressions, parse, rule="chunk")
    return [chunks[0] if chunks else expression for expression, chunks in zip(expressions, chunks_of, strict=True)]


def weighted_features(global_ND: Tensor, local_ND: Tensor, *, share: float) -> Tensor:
    """Weighted mean share * global + (1 - share) * local, (N, D), of features that are not of unit length."""
    return share * global_ND + (1 - share) * local_ND
