"""What a network costs, counted without its weights: parameters, and multiply-adds of one pass (TRIS spec 7)."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def parameters(*modules: nn.Module) -> int:
    """All parameters, those that are not trained or not used included; buffers are none."""
    return sum(one.numel() for module in modules for one in module.parameters())


class MultiplyAdds(NamedTuple):
    """Of one pass. Activations, softmax and embeddings are never counted."""

    products: int
    """Of convolutions and matrix products, attention's included, as LAVT's published numbers."""
    norms: int
    """Of norms and bilinear enlargement, which TRIS's published numbers hold too."""

    @property
    def total(self) -> int:
        """Both."""
        return self.products + self.norms


def multiply_adds(run: Callable[..., object], *inputs: Tensor) -> MultiplyAdds:
    """Count one call on the CPU, or on the meta device, where nothing is computed.

    Args:
        run: a network in eval mode, or a function of one.
        inputs: its arguments.
    """
    norms = _norms()
    counter = FlopCounterMode(display=False, custom_mapping=norms)
    with sdpa_kernel(SDPBackend.MATH), counter:  # fused attention on a CPU would not be counted
        run(*inputs)
    found = {kind: int(count) // 2 for kind, count in counter.get_flop_counts().get("Global", {}).items()}
    within = sum(count for kind, count in found.items() if kind in norms)
    return MultiplyAdds(products=sum(found.values()) - within, norms=within)


def _norms() -> dict[Any, Callable[..., int]]:
    aten = torch.ops.aten
    return {
        aten._native_batch_norm_legit_no_training: _per_element(2),
        aten._native_batch_norm_legit: _per_element(5),  # instance norms measure their statistics
        aten.native_layer_norm: _per_element(5),
        aten.upsample_bilinear2d: _per_element(4),
    }


def _per_element(count: int) -> Callable[..., int]:
    """The counter thinks in operations, two for each multiply-add."""
    return lambda *shapes, out_shape, **kwargs: 2 * count * prod(_first_shape(out_shape))


def _first_shape(shapes: Any) -> tuple[int, ...]:
    """Norms give their statistics beside the result."""
    return _first_shape(shapes[0]) if isinstance(shapes[0], Sequence) else tuple(shapes)
