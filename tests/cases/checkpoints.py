"""Small sound files of every kind of checkpoint, and what reads them."""

import io
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from transformers import BertConfig

from resources.embedded.cards import load_embedded, save_embedded
from resources.models.bert_folder import read_bert_config, read_vocabulary
from resources.models.clip import read_state
from resources.models.swin_bert import load_bert, new_bert
from resources.models.weights import load_strictly, read_safetensors, read_torch

SIZES = {"vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 4}
BERT = {**SIZES, "max_position_embeddings": 8}
CARD = {"data": "", "command": "", "seconds": 1, "scores": {}, "architecture": {"width": 3}, "licence": ""}


def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 4)


def saved(content: object, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


@cache
def sound() -> Mapping[str, bytes]:
    """Kind -> bytes of a sound file."""
    scripted = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(layer()), scripted)
    return {
        "torch.pth": saved(layer().state_dict()),
        "legacy.pth": saved(layer().state_dict(), _use_new_zipfile_serialization=False),
        "script.pt": scripted.getvalue(),
        "weights.safetensors": save(dict(layer().state_dict())),
        "vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n.\n?\ndog\n",
        "config.json": b'{"model_type": "bert", "vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, '
        b'"num_attention_heads": 2, "intermediate_size": 4, "max_position_embeddings": 8}',
    }


def load(read: Callable[[Path], Mapping[str, Any]]) -> Callable[[Path], object]:
    """Read a file and load it strictly."""
    return lambda path: load_strictly(layer(), read(path), source=path)


READERS: Mapping[str, Callable[[Path], object]] = {
    "torch.pth": load(read_torch),
    "legacy.pth": load(read_torch),
    "script.pt": load(read_state),
    "weights.safetensors": load(read_safetensors),
    "vocab.txt": lambda path: read_vocabulary(path.parent),
    "config.json": lambda path: read_bert_config(path.parent),
}
"""Kind -> its reader."""


def write_bert(folder: Path) -> Path:
    """A published BERT of tiny sizes."""
    folder.mkdir(exist_ok=True)
    for name in ("vocab.txt", "config.json"):
        (folder / name).write_bytes(sound()[name])
    torch.manual_seed(0)
    weights = {f"bert.{key}": value for key, value in new_bert(BertConfig(**BERT)).state_dict().items()}
    (folder / "model.safetensors").write_bytes(save(weights))
    return folder


def write_embedded(folder: Path) -> Path:
    """An embedded model of one layer."""
    save_embedded(folder, layer().state_dict(), CARD)
    return folder


__all__ = ["READERS", "load_bert", "load_embedded", "saved", "sound", "write_bert", "write_embedded"]
