"""TRIS's trained networks out of artifacts, and what all its stages ask of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.data.images import Pixels
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.weights import load_weights

if TYPE_CHECKING:
    from torch import Tensor

    from ops.tris.irnet import Irnet
    from ops.tris.response import ResponseModel
    from ops.tris.segmenter import TrisSegmenter
    from resources.models.tris import TrisTokenizer

WEIGHTS = "weights.safetensors"


def read_response_model(artifact: Artifact, runtime: Runtime) -> tuple[ResponseModel, TrisTokenizer]:
    """A trained Step 1, on the device, and its tokenizer."""
    from resources.models.tris import response_model_from

    model, tokenizer = response_model_from(*load_weights(artifact.file(WEIGHTS)))
    return model.to(runtime.torch_device()), tokenizer


def read_segmenter(artifact: Artifact, runtime: Runtime) -> tuple[TrisSegmenter, TrisTokenizer]:
    """A trained Step 2, on the device, and its tokenizer."""
    from resources.models.tris import segmenter_from

    model, tokenizer = segmenter_from(*load_weights(artifact.file(WEIGHTS)))
    return model.to(runtime.torch_device()), tokenizer


def read_irnet(artifact: Artifact, runtime: Runtime) -> Irnet:
    """The IRNet that refined labels, on the device."""
    from resources.models.tris import irnet_from

    return irnet_from(*load_weights(artifact.file(WEIGHTS))).to(runtime.torch_device())


def squashed(pixels: Pixels, size: int) -> Tensor:
    """(3, S, S) uint8: the picture as TRIS sees it, without its aspect ratio (TRIS spec 1.4)."""
    from ops.images import resize_image, to_tensor

    return resize_image(to_tensor(pixels), height=size, width=size)
