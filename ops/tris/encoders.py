"""CLIP's towers as TRIS reads them: four maps of the ResNet, token features, sentence features (spec 2.1, 5.1, 5.2).

Works on open_clip's `CLIP` of any size whose picture tower is a `ModifiedResNet`, in float32, with nothing frozen. The
attention pool, which the authors run and throw away, is not run.
Shapes: B images or sentences, T tokens, L width of the text tower, D embedding width, C channels, h x w cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
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


def token_features(clip: CLIP, ids_BT: Tensor) -> Tensor:
    """What the text tower says about every token after its last layer norm, (B, T, L); padding is not masked.

    Raises:
        ValueError: more tokens than the tower has positions.
    """
    length, positions = ids_BT.shape[1], len(clip.positional_embedding)
    if length > positions:
        raise ValueError(f"{length} tokens, but this CLIP has {positions} positions: cut the expressions")
    tokens_BTL = clip.token_embedding(ids_BT) + clip.positional_embedding[:length]
    tokens_BTL = clip.transformer(tokens_BTL, attn_mask=clip.attn_mask[:length, :length])
    return torch.as_tensor(clip.ln_final(tokens_BTL))


def sentence_features(clip: CLIP, ids_BT: Tensor) -> Tensor:
    """The feature of each sentence's end, its largest id, projected to (B, D); not of unit length.

    A sentence that was cut without its end gets the feature of its start, which has seen no word (see `tokens.cut`).
    """
    tokens_BTL = token_features(clip, ids_BT)
    rows_B = torch.arange(len(ids_BT), device=ids_BT.device)
    return torch.as_tensor(tokens_BTL[rows_B, ids_BT.argmax(1)] @ clip.text_projection)
