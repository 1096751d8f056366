"""Trained segmenters as ONNX: one graph from the squared image and the tokens of its sentences to foreground logits.

Shapes: S sentences of one image (dynamic), T tokens, h x w cells of the logits, H x W pixels of the model's square.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from assets.segmenters.load import read_segmenter
from assets.segmenters.training_set import Encoder
from ops.images import IMAGENET
from ops.refusal import Refused
from ops.segmenters.prediction import Segmenter
from resources.models.swin_bert import Tokenizer
from resources.runtime import Runtime
from storage.artifact import Artifact

OPSET = 18
MOST = 1024
"""Sentences of a pass."""
EXAMPLES = ("the man in red on the left", "dog")
"""What a graph is traced and compared with."""
LARGEST = 2**31 - 1
"""Bytes of one ONNX file."""
TOLERANCE = 1e-3
HOW = {
    "bert-wordpiece": "lower case, no accents; [CLS], pieces, [SEP], cut to max_tokens; padding 0; mask 1 on pieces",
    "clip": "byte pairs of OpenAI's CLIP, or one id a word where words are listed; mask 1 before the end token",
}
"""Kind of tokenizer -> how it makes ids and mask."""


@dataclass(frozen=True, kw_only=True)
class OnnxNetwork:
    """A network that can be exported, and what a program must know to feed it."""

    module: nn.Module
    """Takes the inputs in their order; gives logits (S, h, w), above 0 on the referent."""
    encode: Callable[[Sequence[str]], Mapping[str, Tensor]]
    """Sentences -> name of an input -> (S, T) int64."""
    size: int
    """H and W."""
    tokenizer: Mapping[str, Any]
    """How sentences become ids, as JSON."""

    def inputs(self, sentences: Sequence[str], image_13HW: Tensor) -> dict[str, Tensor]:
        """All inputs of a pass."""
        return {"image": image_13HW, **self.encode(sentences)}

    def example(self) -> dict[str, Tensor]:
        """Inputs to trace and compare with: noise, the same each time, and two sentences."""
        generator = torch.Generator().manual_seed(0)
        shape = (1, 3, self.size, self.size)
        return self.inputs(EXAMPLES, torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator))

    def card(self) -> dict[str, Any]:
        """What lies beside the graph as JSON."""
        return {
            "opset": OPSET,
            "image": {
                "input": "image",
                "layout": "1 x 3 x height x width, uint8 RGB",
                "height": self.size,
                "width": self.size,
                "resize": "bilinear, antialiased (Pillow's BILINEAR), the aspect ratio is not kept",
                "normalisation": {**asdict(IMAGENET), "of": "values / 255", "where": "inside the graph"},
            },
            "tokenizer": dict(self.tokenizer),
            "output": {
                "name": "logits",
                "layout": "sentences x rows x columns, float32, foreground minus background",
                "mask": "resize bilinearly with aligned corners to the image's height and width; what is above 0",
                "probability": "the sigmoid",
            },
        }


class ReferringLogits(nn.Module):
    """LAVT or MERES: (image, ids, mask) to logits at a quarter of the model's size."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """(S, h, w); the image goes through the unconditioned layers once."""
        language_SLT = self.model.encode(ids, mask)
        image_of_S = torch.zeros_like(ids[:, 0])
        quarter_S2hw = self.model.vision.quarter_logits(image, language_SLT, mask[:, None], image_of_B=image_of_S)
        return quarter_S2hw[:, 1] - quarter_S2hw[:, 0]


def referring_network(trained: Artifact) -> OnnxNetwork:
    """A LAVT or MERES out of its artifact."""
    model, tokenizer = read_segmenter(trained, Runtime(device="cpu"))
    return referring_network_of(model, tokenizer)


def referring_network_of(model: Segmenter, tokenizer: Encoder) -> OnnxNetwork:
    """The same of an open model, on the CPU."""

    def encode(sentences: Sequence[str]) -> Mapping[str, Tensor]:
        ids_ST, mask_ST = tokenizer.encode(sentences)
        return {"ids": ids_ST, "mask": mask_ST}

    kind = "bert-wordpiece" if isinstance(tokenizer, Tokenizer) else "clip"
    card = {"kind": kind, "inputs": ["ids", "mask"], "how": HOW[kind], **tokenizer.card()}
    return OnnxNetwork(
        module=ReferringLogits(model).eval(), encode=encode, size=model.config.image_size, tokenizer=card
    )


def onnx_bytes(network: OnnxNetwork) -> bytes:
    """The graph, with its weights; the number of sentences is free.

    It is traced by `torch.export`: the older tracer keeps numbers of the example.

    Raises:
        Refused: the graph does not fit one file.
    """
    example = network.example()
    sentences = torch.export.Dim("sentences", min=1, max=MOST)
    shapes = {name: None if name == "image" else {0: sentences} for name in example}
    with torch.no_grad(), _quiet("torch.onnx", "onnxscript", "onnx_ir"):
        program = torch.onnx.export(
            network.module,
            tuple(example.values()),
            input_names=list(example),
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    if graph.ByteSize() > LARGEST:
        raise Refused("the network has more than 2 GB of weights, which one ONNX file cannot hold")
    return bytes(graph.SerializeToString())


def difference(network: OnnxNetwork, graph: bytes, inputs: Mapping[str, Tensor]) -> float:
    """Largest difference between the logits of onnxruntime and of torch on the same inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.inference_mode():
        right_Shw = network.module(*inputs.values())
    return float((torch.from_numpy(found) - right_Shw).abs().max())


class _quiet:  # noqa: N801  a context manager reads as a verb
    """Keep what loggers say of their own translation off a person's terminal."""

    def __init__(self, *names: str) -> None:
        self.loggers = [logging.getLogger(name) for name in names]

    def __enter__(self) -> None:
        self.before = [logger.level for logger in self.loggers]
        for logger in self.loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        for logger, level in zip(self.loggers, self.before, strict=True):
            logger.setLevel(level)
