"""TRIS's trained networks out of artifacts, and the image as all its stages see it."""

from pathlib import Path

from torch import Tensor

from assets.data.images import Pixels
from ops.images import resize_image, to_tensor
from ops.tris.irnet import Irnet
from ops.tris.response import ResponseModel
from ops.tris.segmenter import TrisSegmenter
from resources.models.tris import TrisTokenizer, irnet_from, response_model_from, segmenter_from
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.weights import load_weights

WEIGHTS = "weights.safetensors"


def read_response_model(artifact: Artifact, runtime: Runtime) -> tuple[ResponseModel, TrisTokenizer]:
    """A trained Step 1, on the device, and its tokenizer."""
    model, tokenizer = response_model_from(*load_weights(artifact.file(WEIGHTS)))
    return model.to(runtime.torch_device()), tokenizer


def read_segmenter(artifact: Artifact, runtime: Runtime) -> tuple[TrisSegmenter, TrisTokenizer]:
    """A trained Step 2, on the device, and its tokenizer."""
    model, tokenizer = segmenter_from(*load_weights(artifact.file(WEIGHTS)))
    return model.to(runtime.torch_device()), tokenizer


def read_irnet(artifact: Artifact, runtime: Runtime) -> Irnet:
    """The IRNet that refined labels, on the device."""
    return irnet_in(artifact.file(WEIGHTS), runtime)


def irnet_in(weights: Path, runtime: Runtime) -> Irnet:
    """The same out of its file."""
    return irnet_from(*load_weights(weights)).to(runtime.torch_device())


def squashed(pixels: Pixels, size: int) -> Tensor:
    """(3, S, S) uint8: the image at TRIS's square size, without its aspect ratio (TRIS spec 1.4)."""
    return resize_image(to_tensor(pixels), height=size, width=size)
