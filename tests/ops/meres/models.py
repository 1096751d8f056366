"""The small MERES that its tests share."""

from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from ops.backbones.language import Bert
from ops.meres.attention import TokenLayer
from ops.meres.config import MeresConfig
from ops.meres.model import Meres

M = TypeVar("M", bound=nn.Module)
TINY = MeresConfig(
    embed_dim=8,
    depths=(1, 1, 2, 1),
    heads=(1, 2, 2, 4),
    window=3,
    drop_path=0.0,
    language_width=16,
    image_size=80,
    max_tokens=6,
    token_heads=2,
    joint_width=12,
    decoder_width=8,
    decoder_heads=2,
    dropout=0.0,
)
"""80 pixels give 3 x 3 coarse ones, of which 30 % are 2."""
MASK = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])


def awake(module: M) -> M:
    """The same module with token layers that no longer start as the identity, as after some training."""
    for part in module.modules():
        if isinstance(part, TokenLayer):
            nn.init.xavier_uniform_(part.attention.output.weight)
            nn.init.xavier_uniform_(part.mlp.fc2.weight)
    return module


def tiny_meres(**changes: Any) -> Meres:
    return awake(new_meres(**changes))


def new_meres(**changes: Any) -> Meres:
    """As training finds it."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    bert = BertModel(BertConfig(intermediate_size=32, **sizes), add_pooling_layer=False)
    return Meres(replace(TINY, **changes), Bert(bert))


def pictures(count: int = 2, size: int = 80) -> Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def words() -> Tensor:
    return torch.randint(1, 30, (2, 6), generator=torch.Generator().manual_seed(1))
