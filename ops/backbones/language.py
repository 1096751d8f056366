"""Language encoders: BERT, and CLIP's text tower (MERES spec 3.2, 10).

Each gives a hidden state for every token. The first stands for the whole expression: [CLS] of BERT, the end-of-text
token of CLIP; the others stand for its words.
Shapes: B samples, T tokens, L width of the language features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ops.backbones.clip_text import end_of_text_features, token_features

if TYPE_CHECKING:  # ops need their attributes, not their import
    from open_clip.transformer import TextTransformer
    from transformers import BertModel


class LanguageEncoder(Protocol):
    """Interface of the language encoder of a referring segmenter."""

    name: str
    """Prefix of its parameters among those of the segmenter."""
    model: Any
    """The network, a module."""

    @property
    def width(self) -> int:
        """L."""

    def states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Hidden states (B, T, L), that of the whole expression first; those at masked positions are undefined."""

    def unfreeze(self) -> None:
        """Unfreeze the parameters that are trained, and freeze the others."""


class Bert:
    """BERT, uncased and without pooler [P]. [SEP] counts as a word [O]."""

    name = "bert"

    def __init__(self, model: BertModel) -> None:
        self.model = model

    @property
    def width(self) -> int:
        """L."""
        return int(self.model.config.hidden_size)

    def states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Last hidden states (B, T, L), that of [CLS] first; `mask_BT` is 1 on real word pieces."""
        return self.model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state

    def unfreeze(self, first: int | None = None) -> None:
        """Unfreeze the `first` layers, all of them by default; embeddings stay frozen [O].

        Raises:
            ValueError: there are fewer layers.
        """
        layers = self.model.encoder.layer
        if first is not None and first > len(layers):
            raise ValueError(f"trained_bert_layers={first}, but this BERT has {len(layers)} layers")
        self.model.requires_grad_(False)
        layers[:first].requires_grad_(True)


class ClipText:
    """CLIP's text tower up to its last layer norm, without the projection to the joint space [I: CGFormer].

    CLIP has no [CLS]: the end-of-text token, which attends to every word, takes the first position [O], that of the
    start token, which attends to none. Attention is causal, so padding does not change the states of words.
    """

    name = "clip"

    def __init__(self, model: TextTransformer) -> None:
        self.model = model

    @property
    def width(self) -> int:
        """L."""
        return int(self.model.ln_final.weight.shape[0])

    def states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Hidden states (B, T, L), that of the end of text first, then the words'; `mask_BT` is `attention_mask`'s."""
        tokens_BTL = token_features(self.model, ids_BT)
        return torch.cat([end_of_text_features(tokens_BTL, ids_BT)[:, None], tokens_BTL[:, 1:]], 1)

    def unfreeze(self) -> None:
        """Unfreeze all layers and the last norm; token and position embeddings stay frozen [O: as with BERT]."""
        self.model.requires_grad_(False)
        self.model.transformer.requires_grad_(True)
        self.model.ln_final.requires_grad_(True)


def attention_mask(ids_BT: Tensor) -> Tensor:
    """Mask of CLIP's tokens, int64 (B, T): 1 at the first position and on words, 0 at the end's own one and on padding.

    The end-of-text token has the largest id of a row.
    """
    positions_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
    return (positions_T < ids_BT.argmax(1, keepdim=True)).long()
