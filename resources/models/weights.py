"""Other people's weights: read without running code, and taken only if they fit a model exactly."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ops.refusal import Refused

NOTHING = re.compile(r"(?!)")
"""Matches no key."""


def read_torch(path: Path) -> dict[str, Any]:
    """A checkpoint written by torch.save, tensors and plain containers only.

    Raises:
        Refused: it is not there, damaged, or asks for more than plain data.
    """
    if not path.is_file():
        raise Refused(f"{path} does not exist; `wordmask doctor` says where to get it")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as problem:
        raise Refused(f"{path} is no readable checkpoint: {problem}") from problem
    if not isinstance(state, dict):
        raise Refused(f"{path} holds a {type(state).__name__}, not a dict of tensors")
    return state


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; `Refused` when it is damaged."""
    try:
        return dict(load_file(path))
    except SafetensorError as problem:
        raise Refused(f"{path} is no readable checkpoint: {problem}") from problem


def load_strictly(
    model: nn.Module, weights: Mapping[str, Tensor], *, source: Path | str, ignored: re.Pattern[str] = NOTHING
) -> None:
    """Load every parameter and buffer; see `accounted`."""
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    model.load_state_dict(accounted(weights, shapes, source=source, ignored=ignored))


def accounted(
    weights: Mapping[str, Tensor],
    shapes: Mapping[str, torch.Size],
    *,
    source: Path | str,
    ignored: re.Pattern[str] = NOTHING,
) -> dict[str, Tensor]:
    """Exactly the wanted tensors.

    Raises:
        Refused: keys are missing, unknown (and not `ignored`) or of another shape; counts them and names the first.
    """
    problems = {
        "missing": sorted(shapes.keys() - weights.keys()),
        "unknown": sorted(key for key in weights.keys() - shapes.keys() if not ignored.fullmatch(key)),
        "of another shape": [
            f"{key} {tuple(weights[key].shape)} for {tuple(shapes[key])}"
            for key in sorted(shapes.keys() & weights.keys())
            if weights[key].shape != shapes[key]
        ],
    }
    if any(problems.values()):
        summary = "; ".join(f"{len(keys)} keys {kind} ({_first(keys)})" for kind, keys in problems.items() if keys)
        raise Refused(
            f"{source} does not fit this model: {summary}. "
            "Is it the checkpoint of another model or size? `wordmask doctor` says which file is meant"
        )
    return {key: weights[key] for key in shapes}


def _first(keys: Sequence[str], most: int = 3) -> str:
    return ", ".join(keys[:most]) + (", ..." if len(keys) > most else "")
