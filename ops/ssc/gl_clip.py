"""GL-CLIP's choice: what CLIP sees and hears of a candidate, globally and locally (Yu et al., CVPR 2023; spec 3.6).

Globally, the whole picture runs through CLIP and only the candidate's tokens count in the last blocks; locally, CLIP
looks at the cut-out candidate. Likewise a whole sentence is mixed with the chunk of its head noun. CLIP itself is not
here: it is handed what these functions return.

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

SENTENCE_SHARE = 0.5
"""Share of the sentence in the text; the rest is the head noun's chunk."""

FIRST_OF_TWELVE = 9
"""Tokens are masked before block 9 (counted from 0) of ViT-B/32's twelve and before each one after it."""


def first_masked_block(depth: int) -> int:
    """The first block with masked tokens: the last quarter of the blocks is masked, and one block at least."""
    return depth * FIRST_OF_TWELVE // 12


def token_weights(masks_NHW: Masks, *, grid: tuple[int, int]) -> Tensor:
    """The share of each token's patch that a mask covers, on a picture resized to CLIP's square.

    Cell means, so that a candidate smaller than a patch keeps a little weight.

    Returns:
        (N, G, G) float32 in [0, 1]; exactly 1 where the whole patch lies in the mask.
    """
    return F.adaptive_avg_pool2d(torch.as_tensor(masks_NHW).float(), grid)


def square(image_3HW: Tensor, *, side: int) -> Tensor:
    """The whole picture in CLIP's square, (3, S, S) uint8; as in GL-CLIP its aspect ratio is not kept."""
    return resize_image(image_3HW, height=side, width=side)


def masked_crops(image_3HW: Tensor, masks_NHW: Masks, *, side: int) -> Tensor:
    """Each candidate on CLIP's mean colour, cut out by its box and stretched to CLIP's square.

    Args:
        image_3HW: uint8 RGB.
        masks_NHW: candidates at the same size; an empty one gives a picture of the mean colour.
        side: S.

    Returns:
        (N, 3, S, S) uint8.
    """
    colour_311 = torch.tensor([round(255 * mean) for mean in CLIP.mean], dtype=torch.uint8).view(3, 1, 1)
    crops = []
    for mask_HW in torch.as_tensor(masks_NHW).bool():
        x0, y0, x1, y1 = tight_box(mask_HW.cpu().numpy()) or (0, 0, image_3HW.shape[2], image_3HW.shape[1])
        window = (slice(y0, y1), slice(x0, x1))
        crops.append(square(torch.where(mask_HW[window], image_3HW[:, *window], colour_311), side=side))
    return torch.stack(crops) if crops else image_3HW.new_zeros(0, 3, side, side)


def head_chunks(sentences: Sequence[str], parse: Parse) -> list[str]:
    """The chunk of each sentence's head noun, such as "red cup"; the sentence itself where no noun is found.

    The chunk is the first of the rule `chunk` (spec 2.2 and section 7, row 2): the key noun with its left modifiers.
    """
    found = noun_phrases(sentences, parse, rule="chunk")
    return [chunks[0] if chunks else sentence for sentence, chunks in zip(sentences, found, strict=True)]


def mixed(global_ND: Tensor, local_ND: Tensor, *, share: float) -> Tensor:
    """Features share * global + (1 - share) * local, both as CLIP gives them: not of unit length."""
    return share * global_ND + (1 - share) * local_ND
