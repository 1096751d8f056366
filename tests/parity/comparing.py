"""What the parity modules share: arrays as tensors, renamed weights, the tolerances of TRIS's vectors."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

Arrays = Mapping[str, np.ndarray]
Result = tuple[str, float, float]
"""Name, largest error, tolerance."""

Renamed = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]
"""Patterns and what stands for them, in order."""

SINGLE, DOUBLE = 1e-4, 1e-9
"""Absolute tolerances of float32 and of float64 blocks (the vectors' README)."""


def compare(name: str, ours: Tensor | np.ndarray, expected: np.ndarray, *, tolerance: float | None = None) -> Result:
    """Largest absolute error; integers and booleans must agree exactly."""
    mine = ours.detach().numpy() if isinstance(ours, Tensor) else np.asarray(ours)
    if mine.shape != expected.shape:
        raise ValueError(f"{name}: shape {mine.shape} where {expected.shape} is expected")
    error = float(np.abs(mine.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
    if tolerance is None:
        tolerance = {"float32": SINGLE, "float64": DOUBLE}.get(expected.dtype.name, 0.0)
    return name, error, tolerance


def tensor(arrays: Arrays, name: str) -> Tensor:
    """A copy of an array."""
    return torch.from_numpy(np.array(arrays[name]))


def weights(arrays: Arrays, prefix: str, renamed: Renamed = ()) -> dict[str, Tensor]:
    """The arrays under a prefix, in our names; the last axis of 1x1 Conv1d weights is dropped."""
    found = {}
    for key in arrays:
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            for old, new in renamed:
                name = re.sub(old, new, name)
            value = tensor(arrays, key)
            found[name] = value.squeeze(-1) if value.ndim == 3 else value
    return found


def load(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load every parameter into a module of the same dtype, refusing any that is missing or left over."""
    missing, unexpected = module.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    module.eval()
