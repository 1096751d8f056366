"""Weights that others may load without running code, and checkpoints that survive a kill in the middle of a write."""

import hashlib
import io
import json
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
    from safetensors.torch import load

    try:
        content = path.read_bytes()
        page = json.loads(path.with_suffix(".json").read_bytes())
        if hashlib.sha256(content).hexdigest() != page["sha256"]:
            raise StoreError(f"{path} is not the file that its card describes; make or fetch both again.")
        return load(content), page["card"]
    except (StoreError, MemoryError):
        raise
    except Exception as error:  # whatever damaged bytes make of the libraries that read them
        raise StoreError(f"{path} or its card is missing or damaged ({error}); make or fetch both again.") from error


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a training state in one step, as `<step>.pt`, then delete all but the last two checkpoints of the folder.

    Args:
        folder: of one training run; a slot's `scratch` is the place for it.
        state: tensors, numbers, strings, and lists, tuples and dicts of these (what `weights_only` loads); its `step`
            names the file.

    Raises:
        ValueError: a later step is there already.
        StoreError: the disk refuses; earlier checkpoints stay.
    """
    import torch

    path = folder / f"{state['step']:08d}.pt"
    if any(earlier.name > path.name for earlier in _checkpoints(folder)):
        raise ValueError(f"{folder} holds a later checkpoint than step {state['step']}; go on from that one.")
    buffer = io.BytesIO()  # in memory first: torch hides the disk's own error when it writes to a full one
    torch.save(dict(state), buffer)
    write_bytes(path, buffer.getbuffer())
    with explain(folder):
        for leftover in (*_checkpoints(folder)[KEPT_CHECKPOINTS:], *folder.glob(f"*{TEMPORARY}")):
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
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise StoreError(f"{path} holds a {type(state).__name__} and no training state; delete it and run again.")
    except (StoreError, MemoryError):
        raise
    except Exception as error:  # as above
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
