"""TRIS's segmenter as ONNX, see `assets.segmenters.onnx_networks`."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from assets.segmenters.onnx_networks import OnnxNetwork
from assets.tris.load import read_segmenter
from ops.tris.segmenter import TrisSegmenter
from ops.tris.tokens import MAX_TOKENS
from resources.models.tris import TrisTokenizer
from resources.runtime import Runtime
from storage.artifact import Artifact


class TrisLogits(nn.Module):
    """(image, ids) to logits at the model's size."""

    def __init__(self, model: TrisSegmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, ids: Tensor) -> Tensor:
        """(S, h, w); the image is encoded once."""
        return self.model(image, ids, image_of_B=torch.zeros_like(ids[:, 0]))[0][:, 0]


def tris_network(trained: Artifact) -> OnnxNetwork:
    """A trained Step 2 out of its artifact."""
    return tris_network_of(*read_segmenter(trained, Runtime(device="cpu")))


def tris_network_of(model: TrisSegmenter, tokenizer: TrisTokenizer) -> OnnxNetwork:
    """The same of an open model, on the CPU."""

    def encode(sentences: Sequence[str]) -> Mapping[str, Tensor]:
        return {"ids": tokenizer.encode(sentences)[0]}

    rule = "start, words or byte pairs of OpenAI's CLIP, end (the largest id), padding 0, cut to max_tokens by `rule`"
    card = {"kind": "clip", "inputs": ["ids"], "how": rule, "max_tokens": MAX_TOKENS, **tokenizer.card()}
    return OnnxNetwork(module=TrisLogits(model).eval(), encode=encode, size=model.config.image_size, tokenizer=card)
