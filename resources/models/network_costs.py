"""What the segmenters cost: parameters, multiply-adds, and milliseconds on this machine, with random weights.

Each is given one image of its own size with one expression of its largest length (TRIS supplement, Table 2).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ops.evaluation.flop_count import MultiplyAdds, multiply_adds, parameters
from ops.meres.model import Meres
from ops.segmenters.lavt import Lavt
from ops.tris.response import ResponseConfig, ResponseModel
from ops.tris.segmenter import SegmenterConfig, TrisSegmenter
from resources.models.clip import build_small_clip
from resources.models.referring import CONFIGS, Size, build
from resources.models.tris import clip_sizes


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network to be measured."""

    name: str
    build: Callable[[], nn.Module]
    """With random weights, on the CPU."""
    image_size: int
    tokens: int
    run: Callable[[Any, Tensor, Tensor], object] = lambda model, image, ids: model(image, ids)
    """One pass: (network, normalised image, ids of the expression)."""

    def inputs(self, device: str) -> tuple[Tensor, Tensor]:
        """An image and an expression."""
        image_13SS = torch.zeros(1, 3, self.image_size, self.image_size, device=device)
        return image_13SS, torch.zeros(1, self.tokens, dtype=torch.long, device=device)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one network, one image and one expression."""

    name: str
    image_size: int
    parameters: int
    multiply_adds: MultiplyAdds
    milliseconds: float | None
    """Median; None: not measured."""


def tris_steps(clip: str, response: ResponseConfig, segmenter: SegmenterConfig) -> list[Network]:
    """Both steps of TRIS on a CLIP: "embedded" or "RN50"."""
    sizes = clip_sizes(clip)

    def step_1() -> nn.Module:
        return ResponseModel(response, build_small_clip(dict(sizes)))

    def step_2() -> nn.Module:
        return TrisSegmenter(segmenter, build_small_clip(dict(sizes)))

    return [
        Network(name="TRIS Step 1", build=step_1, image_size=response.image_size, tokens=response.max_tokens),
        Network(name="TRIS Step 2", build=step_2, image_size=segmenter.image_size, tokens=segmenter.max_tokens),
    ]


def lavt_and_meres(size: Size) -> list[Network]:
    """LAVT and, where it has that size, MERES."""
    kinds = (("LAVT", Lavt), ("MERES", Meres))
    return [_referring(name, kind, size) for name, kind in kinds if size in CONFIGS[kind]]


def students() -> list[Network]:
    """LAVT's student, and the same with the decoder of the full size."""
    wide = {"decoder_width": CONFIGS[Lavt]["swin_b"].decoder_width}
    return [
        _referring("LAVT student", Lavt, "swin_t"),
        _referring("LAVT student, full decoder", Lavt, "swin_t", switches=wide),
    ]


def _referring(
    name: str, kind: type[Lavt] | type[Meres], size: Size, *, switches: Mapping[str, Any] | None = None
) -> Network:
    config = CONFIGS[kind][size]
    return Network(
        name=name,
        build=partial(_random, kind, size, switches),
        image_size=config.image_size,
        tokens=config.max_tokens,
        run=_unmasked,
    )


def _random(kind: type[Lavt] | type[Meres], size: Size, switches: Mapping[str, Any] | None) -> nn.Module:
    return build(kind, size, switches=switches, random_weights=True)[0]


def _unmasked(model: Lavt | Meres, image_13SS: Tensor, ids_1T: Tensor) -> Tensor:
    """No word is masked."""
    return torch.as_tensor(model(image_13SS, ids_1T, torch.ones_like(ids_1T)))


def costs_of(networks: Sequence[Network], *, repeats: int, device: str) -> list[Cost]:
    """Count every network, and time it `repeats` times; 0 only counts."""
    return [_cost(network, repeats=repeats, device=device) for network in networks]


def _cost(network: Network, *, repeats: int, device: str) -> Cost:
    model = network.build().eval()
    return Cost(
        name=network.name,
        image_size=network.image_size,
        parameters=parameters(model),
        multiply_adds=multiply_adds(partial(network.run, model), *network.inputs("cpu")),
        milliseconds=_milliseconds(network, model.to(device), repeats, device) if repeats else None,
    )


@torch.inference_mode()
def _milliseconds(network: Network, model: nn.Module, repeats: int, device: str) -> float:
    inputs = network.inputs(device)
    network.run(model, *inputs)
    seconds = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        network.run(model, *inputs)
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
