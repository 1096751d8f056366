"""The text encoder of Grounding DINO: BERT in which words attend to their own phrase only, and its tokenizer.

groundingdino-py wraps transformers' BertModel by copying methods off it that transformers 5 no longer has.
`PhraseBert` stands in for that wrapper: the same sub-modules under the same names, so published checkpoints load, and
the attention mask built here. What belongs to images and boxes is in `grounding_dino.py`.

Shapes: B captions, T tokens, D width.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, BertTokenizer

from ops.refusal import Refused
from resources.models.bert_folder import VOCABULARY, read_bert_config, read_vocabulary

SEPARATORS = (".", "?")
"""What ends a phrase inside a caption, beside `[CLS]` and `[SEP]`."""


class PhraseBert(nn.Module):
    """BERT over captions of several phrases, none of which attends to the others.

    Takes over the embeddings, encoder and pooler of a transformers BertModel. The pooler is never run; it is there
    because published Grounding DINO checkpoints hold its weights.
    """

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.config = bert.config
        self.embeddings = bert.embeddings
        self.encoder = bert.encoder
        self.pooler = bert.pooler

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, position_ids: Tensor
    ) -> dict[str, Tensor]:
        """Encode token ids.

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T, T) bool, True where the token of the row may attend to the token of the column.
            token_type_ids: (B, T) int64, zeros.
            position_ids: (B, T) int64, counted from the start of each phrase.

        Returns:
            `{"last_hidden_state": (B, T, D)}`, the one entry that Grounding DINO reads.
        """
        embedded_BTD = self.embeddings(input_ids=input_ids, token_type_ids=token_type_ids, position_ids=position_ids)
        output = self.encoder(embedded_BTD, attention_mask=additive_mask(attention_mask, embedded_BTD.dtype))
        return {"last_hidden_state": output[0]}


def additive_mask(visible_BTT: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, 1, T, T): 0 where a token may attend, the most negative number of `dtype` elsewhere."""
    hidden_B1TT = ~visible_BTT.bool()[:, None]
    return torch.zeros(hidden_B1TT.shape, dtype=dtype, device=visible_BTT.device).masked_fill(
        hidden_B1TT, torch.finfo(dtype).min
    )


def build_phrase_bert(config: Mapping[str, Any]) -> PhraseBert:
    """A PhraseBert with random weights, of the sizes in `config` (keywords of transformers' BertConfig)."""
    return PhraseBert(BertModel(BertConfig(**{**config, "attn_implementation": "eager"})))


def read_bert_sizes(folder: Path) -> dict[str, Any]:
    """The BertConfig keywords in the `config.json` of a BERT folder such as bert-base-uncased.

    Raises:
        Refused: the folder holds no `config.json` that describes a BERT.
    """
    sizes = read_bert_config(folder)
    return {
        key: value for key, value in sizes.items() if key not in {"architectures", "model_type", "transformers_version"}
    }


def read_tokenizer(folder: Path) -> BertTokenizer:
    """The fast, lower-casing WordPiece tokenizer over the `vocab.txt` of a folder.

    Raises:
        Refused: there is no readable vocabulary, or it lacks a separator (every unknown word would then act as one).
    """
    words = read_vocabulary(folder)
    if missing := {"[PAD]", "[UNK]", "[CLS]", "[SEP]", *SEPARATORS}.difference(words):
        raise Refused(f"{folder / VOCABULARY} lacks {sorted(missing)}: it is not the vocabulary of an uncased BERT")
    return BertTokenizer(vocab={word: index for index, word in enumerate(words)})
