"""Pretrained backbones of referring segmenters: Swin and BERT, embedded or published.

Belongs here: reading other people's checkpoints, with every key accounted for. Sizes and formulas are in `ops`, and
`resources.models.referring` builds segmenters on these backbones.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import BertWordPieceTokenizer
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from ops.backbones.swin import Swin, SwinConfig
from ops.refusal import Refused
from ops.segmenters.lavt import SWIN_B_480
from resources.embedded.cards import is_embedded, load_embedded, read_card
from resources.models.bert_folder import CONFIG, demand_ids, read_bert_config, read_vocabulary
from resources.models.refs import EMBEDDED, ModelRef
from resources.models.weights import (
    accounted,
    building,
    is_plain_tensor,
    load_strictly,
    named,
    read_safetensors,
    read_torch,
    renamed,
)

SWIN_IGNORED = re.compile(r"(head|norm)\.(weight|bias)|.*\.(attn_mask|relative_position_index)")
"""Keys of published Swin checkpoints that a backbone has no place for: classifier, final norm, constant buffers."""
BERT_IGNORED = re.compile(r"cls\..*|pooler\..*|embeddings\.position_ids")
"""Keys of published BERT checkpoints that a text encoder has no place for: pretraining heads, pooler, constants."""
BIAS_TABLE = "relative_position_bias_table"


class Tokenizer:
    """BERT's WordPiece, lower-case and without accents, cut to the first `max_tokens` ids.

    A long expression loses its [SEP] (spec 1.6); short ones are padded with id 0 on the right.
    """

    def __init__(self, vocabulary: Sequence[str], *, max_tokens: int = 20) -> None:
        """`vocabulary` lists the word pieces in the order of their ids: [PAD] first, [UNK], [CLS], [SEP] anywhere."""
        needed = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}
        if not needed <= set(vocabulary) or vocabulary[0] != "[PAD]":
            raise Refused(f"this is no BERT vocabulary: {sorted(needed)} must be in it, [PAD] first")
        self.vocabulary = tuple(vocabulary)
        self.max_tokens = max_tokens
        ids = {piece: number for number, piece in enumerate(vocabulary)}
        self._pieces = BertWordPieceTokenizer(vocab=ids, lowercase=True, strip_accents=True)

    def encode(self, expressions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask (1 on real pieces), both int64 (expressions, max_tokens)."""
        ids = torch.zeros(len(expressions), self.max_tokens, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, encoding in enumerate(self._pieces.encode_batch(list(expressions))):
            pieces = encoding.ids[: self.max_tokens]
            ids[row, : len(pieces)] = torch.tensor(pieces)
            mask[row, : len(pieces)] = 1
        return ids, mask

    def card(self) -> dict[str, Any]:
        """What is saved beside weights, as JSON values."""
        return {"vocabulary": list(self.vocabulary), "max_tokens": self.max_tokens}


def new_bert(config: BertConfig) -> BertModel:
    """An encoder without pooler and with plain attention, weights fresh."""
    config._attn_implementation = "eager"
    return BertModel(config, add_pooling_layer=False)


def random_bert(width: int) -> BertModel:
    """BERT-base, 768 wide, MiniLM of six layers, 384 wide, or the embedded size, at random."""
    if width == 768:
        return new_bert(BertConfig())
    if width == 384:
        return new_bert(BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536))
    return new_bert(BertConfig(**read_card(ModelRef("bert").path())["architecture"]))


def embedded_tokenizer(max_tokens: int) -> Tokenizer:
    """The tokenizer with the small vocabulary that ships with the project."""
    return Tokenizer(read_vocabulary(ModelRef("bert").path()), max_tokens=max_tokens)


def load_bert(name: str | Path = EMBEDDED, *, max_tokens: int = 20) -> tuple[BertModel, Tokenizer]:
    """BERT and its tokenizer: "embedded", the folder of an embedded one, or a published folder.

    A published folder has config.json, vocab.txt and the weights, `model.safetensors` or `pytorch_model.bin`, with or
    without the `bert.` prefix and with the old names of LayerNorm's parameters.

    Raises:
        Refused: files are missing or damaged, or keys are missing or unexpected.
    """
    folder = ModelRef("bert").path() if name == EMBEDDED else Path(name)
    if is_embedded(folder):
        weights, card = load_embedded(folder)
        sizes = card["architecture"]
    else:
        weights = renamed(read_bert_weights(folder), bert_key, source=folder)
        sizes = read_bert_config(folder) if (folder / CONFIG).exists() else {}
    tokenizer = Tokenizer(read_vocabulary(folder), max_tokens=max_tokens)
    with building(folder):
        model = new_bert(BertConfig(**sizes))
    demand_ids(len(tokenizer.vocabulary), model.config.vocab_size, source=folder)
    load_strictly(model, weights, source=folder, ignored=BERT_IGNORED)
    return model.eval(), tokenizer


def read_bert_weights(folder: Path) -> dict[str, Tensor]:
    """The state dict in a downloaded folder."""
    if (folder / "model.safetensors").exists():
        return read_safetensors(folder / "model.safetensors")
    if (folder / "pytorch_model.bin").exists():
        return read_torch(folder / "pytorch_model.bin")
    raise Refused(f"{folder} has neither model.safetensors nor pytorch_model.bin; download bert-base-uncased into it")


def bert_key(key: str) -> str:
    """Published name to transformers' name."""
    key = key.removeprefix("bert.")
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", key))


def load_swin(name: str | Path = EMBEDDED, *, config: SwinConfig = SWIN_B_480.swin) -> dict[str, Tensor]:
    """State dict of a `Swin` of the given sizes: "embedded", the folder of an embedded one, or a published checkpoint.

    A published checkpoint holds it under the key "model". Bias tables of another window are resized bicubically, per
    head.

    Raises:
        Refused: keys are missing or unexpected, or a shape differs; the message names them.
    """
    source = ModelRef("swin").path() if name == EMBEDDED else Path(name)
    if is_embedded(source):
        weights, _ = load_embedded(source)
    else:
        checkpoint = read_torch(source)
        if "model" not in checkpoint:
            raise Refused(f"{source} has no key 'model'; this is not a published Swin checkpoint")
        weights = named(checkpoint["model"], source=f"'model' of {source}")
    with torch.device("meta"):
        swin = Swin(config)
    shapes = {key: value.shape for key, value in swin.state_dict().items()}
    resized = {
        key: resize_bias(value, shapes[key][0]) if key.endswith(BIAS_TABLE) and _fits(value, shapes.get(key)) else value
        for key, value in weights.items()
    }
    return accounted(resized, shapes, ignored=SWIN_IGNORED, source=source)


def _fits(table: object, shape: torch.Size | None) -> bool:
    """Whether something is a bias table of some square window, with the heads of a wanted one."""
    if shape is None or not isinstance(table, Tensor) or not is_plain_tensor(table) or table.ndim != 2:
        return False
    return math.isqrt(len(table)) ** 2 == len(table) > 0 and table.shape[1] == shape[1]


def resize_bias(table: Tensor, rows: int) -> Tensor:
    """A bias table ((2w - 1)^2, heads) for another window, bicubic per head."""
    if len(table) == rows:
        return table
    old, new = round(len(table) ** 0.5), round(rows**0.5)
    square = table.T.reshape(1, -1, old, old).float()
    return F.interpolate(square, size=(new, new), mode="bicubic").flatten(2)[0].T.contiguous()
