"""CLIP's text tower read token by token: what it says of every token, and of the sentence at its end.

Works on open_clip's `CLIP` and on its text tower alone, of any size, with nothing frozen.
Shapes: B sentences, T tokens, L width of the text tower, D embedding width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # ops need their attributes, not their import
    from open_clip import CLIP
    from open_clip.transformer import TextTransformer


def token_features(clip: CLIP | TextTransformer, ids_BT: Tensor) -> Tensor:
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


def at_the_end(tokens_BTL: Tensor, ids_BT: Tensor) -> Tensor:
    """The feature (B, L) of each sentence's end, its largest id."""
    return tokens_BTL[torch.arange(len(ids_BT), device=ids_BT.device), ids_BT.argmax(1)]


def sentence_features(clip: CLIP, ids_BT: Tensor) -> Tensor:
    """The feature of each sentence's end, projected to (B, D); not of unit length (TRIS spec 2.1).

    A sentence that was cut without its end gets the feature of its start, which has seen no word.
    """
    return torch.as_tensor(at_the_end(token_features(clip, ids_BT), ids_BT) @ clip.text_projection)
