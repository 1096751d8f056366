"""Weights that others may load without running code, and checkpoints that survive a kill in the middle of a write."""

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.files import TEMPORARY, StoreError, explain, write_bytes

if TYPE_CHECKING:
    from torch import Tensor

KEPT_CHECKPOINTS = 2
"""The newest and the one before, in case the newest turns out unreadable."""


def save_weights(path: Path, state: Mapping[str, "Tensor"], card: Mapping[str, Any]) -> None:
    """Write tensors to a safetensors file and a card beside it (`weights.safetensors`, `weights.json`).

    Equal tensors give equal bytes. Views and shared tensors are written out in full.

    Raises:
        StoreError: the disk refuses.
        TypeError: the card holds something that JSON does not know.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(state.items())}
    content = save(plain)
    page = {"card": dict(card), "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    text = json.dumps(page, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_bytes(path, content)
    write_bytes(path.with_suffix(".json"), text.encode())


def load_weights(path: Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read what `save_weights` wrote: tensors on the CPU, and the card.

    Raises:
        StoreError: a file is missing, damaged, or belongs to other weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = path.read_bytes()
        page = json.loads(path.with_suffix(".json").read_bytes())
        if hashlib.sha256(content).hexdigest() != page["sha256"]:
            raise StoreError(f"{path} is not the file that its card describes; make or fetch both again.")
        return load(content), page["card"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"{path} or its card is missing or damaged ({error}); make or fetch both again.") from error


def save_checkpoint(path: Path, state: Mapping[str, Any], *, keep: int = KEPT_CHECKPOINTS) -> None:
    """Write a training state in one step, then delete all but the `keep` last checkpoints (by name) of its folder.

    Args:
        path: `<folder of one training run>/<step>.pt`, the step with leading zeros so that names sort; a slot's
            `scratch` is the place for the folder.
        state: tensors, numbers, strings, and lists, tuples and dicts of these (what `weights_only` loads).
        keep: checkpoints left in the folder.

    Raises:
        ValueError: the name does not end in `.pt`, or sorts before a checkpoint that is there already.
        StoreError: the disk refuses; earlier checkpoints stay.
    """
    import torch

    if path.suffix != ".pt" or any(earlier.name > path.name for earlier in _checkpoints(path.parent)):
        raise ValueError(f"{path} must end in .pt and sort after the checkpoints beside it; write the step with zeros.")
    buffer = io.BytesIO()  # in memory first: torch hides the disk's own error when it writes to a full one
    torch.save(dict(state), buffer)
    write_bytes(path, buffer.getbuffer())
    with explain(path.parent):
        for leftover in (*_checkpoints(path.parent)[keep:], *path.parent.glob(f"*{TEMPORARY}")):
            leftover.unlink()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU without running code from it.

    Raises:
        StoreError: it is missing, damaged, or asks for anything but plain data and tensors.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise StoreError(f"{path} is damaged at {damaged}; delete it and run again.")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise StoreError(f"{path} cannot be read as a checkpoint ({error}); delete it and run again.") from error
    return state


def latest_checkpoint(folder: Path, *, log: Callable[[str], None] = lambda _: None) -> dict[str, Any] | None:
    """The state of the newest checkpoint that can be read, None when there is none.

    One that cannot be read is put aside as `<name>.damaged`, so that it does not count among those to keep.
    """
    for path in _checkpoints(folder):
        try:
            return load_checkpoint(path)
        except StoreError as error:
            log(f"falling back to the checkpoint before: {error}")
            with explain(path):
                path.replace(path.with_name(f"{path.name}.damaged"))
    return None


def _checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("*.pt"), key=lambda path: path.name, reverse=True)
