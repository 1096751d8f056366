"""The ONNX graph of a segmenter computes what torch computes, for any number of sentences."""

import json
from collections.abc import Callable
from functools import partial

import pytest
import torch

from assets.segmenters.onnx_networks import HOW, OPSET, TOLERANCE, OnnxNetwork, difference, onnx_bytes
from assets.segmenters.onnx_networks import referring_network_of as referring
from assets.tris.onnx_network import tris_network_of
from ops.meres.model import Meres
from ops.segmenters.lavt import Lavt
from ops.tris.segmenter import SegmenterConfig
from resources.models.referring import build
from resources.models.tris import TrisTokenizer, new_segmenter, pretrained_clip

SENTENCES = (
    ["a"],
    ["the big dog", "cup", "both of the small cats on the left hand side of the man who wears a red hat and a scarf"],
)


def lavt_or_meres(kind: type[Lavt] | type[Meres]) -> OnnxNetwork:
    return referring(*build(kind, "embedded"))


def tris() -> OnnxNetwork:
    clip = pretrained_clip()
    config = SegmenterConfig(laterals=(8, 8, 16, 16), finest=8, image_size=64)
    return tris_network_of(new_segmenter(clip, config, seed=0), TrisTokenizer(clip.clip.tokenizer))


NETWORKS: dict[str, Callable[[], OnnxNetwork]] = {
    "lavt": partial(lavt_or_meres, Lavt),
    "meres": partial(lavt_or_meres, Meres),
    "tris": tris,
}


@pytest.mark.slow  # tracing takes a quarter of a minute, or more on a busy machine
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_gives_the_logits_of_torch(name: str) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the extra `onnx` is not installed")
    network = NETWORKS[name]()
    graph = onnx_bytes(network)
    assert difference(network, graph, network.example()) < TOLERANCE
    image = torch.randint(0, 256, (1, 3, network.size, network.size), dtype=torch.uint8)
    for sentences in SENTENCES:
        assert difference(network, graph, network.inputs(sentences, image)) < TOLERANCE
    with torch.no_grad():  # the comparison compares
        next(network.module.parameters()).add_(0.5)
    assert difference(network, graph, network.example()) > TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_the_card_says_how_to_feed_the_graph(name: str) -> None:
    network = NETWORKS[name]()
    card = json.loads(json.dumps(network.card()))
    assert card["opset"] == OPSET
    assert card["image"]["height"] == network.size
    assert card["image"]["normalisation"]["mean"] == pytest.approx([0.485, 0.456, 0.406])
    inputs = network.example()
    assert ["image", *card["tokenizer"]["inputs"]] == list(inputs)
    assert inputs["ids"].shape[1] == card["tokenizer"]["max_tokens"]
    assert card["tokenizer"]["kind"] in HOW
    assert card["tokenizer"].get("vocabulary") or card["tokenizer"].get("words")
    with torch.inference_mode():
        logits_Shw = network.module(*inputs.values())
    assert logits_Shw.shape[0] == len(inputs["ids"])
    assert logits_Shw.ndim == 3
