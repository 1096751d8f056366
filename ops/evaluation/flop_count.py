"""Parameter and multiply-add counts of a network (TRIS spec 7)."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def parameters(*modules: nn.Module) -> int:
    """Number of parameters, frozen and unused ones included; buffers do not count."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


class MultiplyAdds(NamedTuple):
    """Multiply-adds of one forward pass. Activations, softmax and embeddings are never counted."""

    products: int
    """Of convolutions and matrix products, attention's included, as in LAVT's published numbers."""
    norms: int
    """Of norms and bilinear upsampling, which TRIS's published numbers include, too."""

    @property
    def total(self) -> int:
        """Products and norms."""
        return self.products + self.norms


def multiply_adds(run: Callable[..., object], *inputs: Tensor) -> MultiplyAdds:
    """Multiply-adds of one call, on the CPU or on the meta device, where nothing is computed.

    Args:
        run: a network in eval mode, or a function of one.
        inputs: its arguments.
    """
    norms = _norms()
    counter = FlopCounterMode(display=False, custom_mapping=norms)
    with sdpa_kernel(SDPBackend.MATH), counter:  # fused attention on a CPU would not be counted
        run(*inputs)
    counts = {kind: int(count) // 2 for kind, count in counter.get_flop_counts().get("Global", {}).items()}
    of_norms = sum(count for kind, count in counts.items() if kind in norms)
    return MultiplyAdds(products=sum(counts.values()) - of_norms, norms=of_norms)


def _norms() -> dict[Any, Callable[..., int]]:
    """FLOP counters of norms and upsampling, which torch's counter leaves out."""
    aten = torch.ops.aten
    return {
        aten._native_batch_norm_legit_no_training: _per_element(2),
        aten._native_batch_norm_legit: _per_element(5),  # instance norms compute their statistics
        aten.native_layer_norm: _per_element(5),
        aten.upsample_bilinear2d: _per_element(4),
    }


def _per_element(count: int) -> Callable[..., int]:
    """FLOP counter of an element-wise operator; torch counts operations, two for each multiply-add."""
    return lambda *shapes, out_shape, **kwargs: 2 * count * prod(_first_shape(out_shape))


def _first_shape(shapes: Any) -> tuple[int, ...]:
    """Shape of the first output: norms return their statistics, too."""
    return _first_shape(shapes[0]) if isinstance(shapes[0], Sequence) else tuple(shapes)
