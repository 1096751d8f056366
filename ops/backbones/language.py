"""Language encoders: BERT, and CLIP's text tower (MERES spec 3.2, 10).

Each gives a state for every token, the sentence's own first: [CLS] of BERT, the end of the text of CLIP. Where tokens
are told apart, the first one stands for the whole sentence and the others for its words.
Shapes: B samples, T tokens, L width of the language features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ops.backbones.clip_text import at_the_end, token_features

if TYPE_CHECKING:  # ops need their attributes, not their import
    from open_clip.transformer import TextTransformer
    from transformers import BertModel


class LanguageEncoder(Protocol):
    """What a segmenter asks of the network that reads sentences."""

    name: str
    """Of its weights among those of the segmenter."""
    model: Any
    """The network, a module."""

    @property
    def width(self) -> int:
        """L."""

    def states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """A state (B, T, L) of every token, the sentence's own first; those of masked places mean nothing."""

    def learn(self) -> None:
        """Let those parameters learn that are trained, and freeze the others."""


class Bert:
    """BERT, uncased and without pooler [P]. [SEP] is a word like others [C]."""

    name = "bert"

    def __init__(self, model: BertModel) -> None:
        self.model = model

    @property
    def width(self) -> int:
        """L."""
        return int(self.model.config.hidden_size)

    def states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Last hidden states (B, T, L), [CLS] first; `mask_BT` is 1 on real word pieces."""
        return self.model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state

    def learn(self, first: int | None = None) -> None:
        """Let the `first` layers learn, without a number all of them; embeddings never do [C].

        Raises:
            ValueError: there are fewer layers.
        """
        layers = self.model.encoder.layer
        if first is not None and first > len(layers):
            raise ValueError(f"trained_bert_layers={first}, but this BERT has {len(layers)} layers")
        self.model.requires_grad_(False)
        layers[:first].requires_grad_(True)


class ClipText:
    """CLIP's text tower up to its last layer norm, without the projection to pictures [I: CGFormer].

    CLIP has no [CLS]: the end of the text, which has seen every word, takes the first place [C], where the start of the
    text was, which has seen none. Words see only what comes before them, so padding cannot matter.
    """

    name = "clip"

    def __init__(self, model: TextTransformer) -> None:
        self.model = model

    @property
    def width(self) -> int:
        """L."""
        return int(self.model.ln_final.weight.shape[0])

    def states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """States (B, T, L), the end's first, then the words in their order; `mask_BT` is that of `heard`."""
        tokens_BTL = token_features(self.model, ids_BT)
        return torch.cat([at_the_end(tokens_BTL, ids_BT)[:, None], tokens_BTL[:, 1:]], 1)

    def learn(self) -> None:
        """Let all layers and the last norm learn; embeddings of words and places do not [C: as with BERT]."""
        self.model.requires_grad_(False)
        self.model.transformer.requires_grad_(True)
        self.model.ln_final.requires_grad_(True)


def heard(ids_BT: Tensor) -> Tensor:
    """CLIP's mask, int64 (B, T): 1 on the first place and on words, 0 on the end's own place and on padding.

    The end has the largest id of a row.
    """
    places_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
    return (places_T < ids_BT.argmax(1, keepdim=True)).long()
