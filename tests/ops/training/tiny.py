"""A LAVT that is small enough to train in a test, and what tests do with saved states."""

import io
from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from ops.backbones.language import Bert
from ops.segmenters.lavt import Lavt, LavtConfig
from ops.segmenters.training import SegmenterPlan
from ops.training.train_state import State

CONFIG = LavtConfig(
    embed_dim=8,
    depths=(1, 1, 2, 1),
    heads=(1, 2, 2, 4),
    window=3,
    drop_path=0.3,
    decoder_width=8,
    language_width=16,
    image_size=48,
    max_tokens=5,
    trained_bert_layers=1,
)
PLAN = SegmenterPlan(epochs=3, batch_size=6, lr=1e-3, checkpoint_every_steps=1, log_every_seconds=0)


def new_model() -> Lavt:
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return Lavt(CONFIG, Bert(BertModel(BertConfig(intermediate_size=32, **sizes), add_pooling_layer=False)))


def stored(state: State) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def restored(data: bytes) -> State:
    return torch.load(io.BytesIO(data), weights_only=True)


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
