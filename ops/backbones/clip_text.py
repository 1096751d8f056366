"""Token and text features of CLIP's text tower.

For open_clip's `CLIP` and for its text tower alone, of any size; gradients reach all parameters.
Shapes: B expressions, T tokens, L width of the text tower, D embedding width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # ops need their attributes, not their import
    from open_clip import CLIP
    from open_clip.transformer import TextTransformer


def token_features(clip: CLIP | TextTransformer, ids_BT: Tensor) -> Tensor:
    """Hidden states of all tokens after the tower's last layer norm, (B, T, L); padding is not masked.

    Raises:
        ValueError: more tokens than the tower has positions.
    """
    length, positions = ids_BT.shape[1], len(clip.positional_embedding)
    if length > positions:
        raise ValueError(f"{length} tokens, but this CLIP has {positions} positions: cut the expressions")
    tokens_BTL = clip.token_embedding(ids_BT) + clip.positional_embedding[:length]
    tokens_BTL = clip.transformer(tokens_BTL, attn_mask=clip.attn_mask[:length, :length])
    return torch.as_tensor(clip.ln_final(tokens_BTL))


def end_of_text_features(tokens_BTL: Tensor, ids_BT: Tensor) -> Tensor:
    """Features (B, L) of the end-of-text tokens, which have the largest id of each row."""
    return tokens_BTL[torch.arange(len(ids_BT), device=ids_BT.device), ids_BT.argmax(1)]


def text_features(clip: CLIP, ids_BT: Tensor) -> Tensor:
    """Text features (B, D): those of the end-of-text tokens, projected; not of unit length (TRIS spec 2.1).

    An expression truncated without its end-of-text token gets the feature of its start token, whose causal attention
    covers no word.
    """
    return torch.as_tensor(end_of_text_features(token_features(clip, ids_BT), ids_BT) @ clip.text_projection)
