"""A trained referring segmenter out of its artifact."""

from __future__ import annotations

from assets.segmenters.training_set import Encoder
from ops.segmenters.prediction import Segmenter
from resources.models.referring import segmenter_from, tokenizer_from
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.weights import load_weights


def read_segmenter(artifact: Artifact, runtime: Runtime) -> tuple[Segmenter, Encoder]:
    """A trained segmenter of any kind and its tokenizer out of an artifact, on the device."""
    state, card = load_weights(artifact.file("weights.safetensors"))
    model = segmenter_from(card["architecture"])
    model.load_state_dict(state)
    return model.to(runtime.torch_device()), tokenizer_from(card)


def bf16_of(trained: Artifact, runtime: Runtime) -> bool:
    """Whether a trained model computes in bfloat16: as in its training."""
    return runtime.bf16(trained.manifest.recipe["knobs"].get("precision", "device"))
