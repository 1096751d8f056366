"""How an embedded model lies on disk: `weights.safetensors` in half precision beside `card.json`.

Every training script ends in `save_embedded`, every loader begins with `load_embedded`. Vocabularies and
configurations that a model needs besides are small files of its own in the same folder; they are no concern of this
module.
"""

import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.refusal import Refused
from resources.model_files import open_model_file, read_json, said
from resources.opening import read_file

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "weights.safetensors"
CARD = "card.json"
EMBEDDED_FOLDER = Path(__file__).resolve().parent
TRAINING_SCRIPTS = {"clip_vit": "clip", "clip_judge": "clip_scorer", "irn_trunk": "irn_backbone"}
"""Folder of an embedded model -> its training script in `assets.pretraining`, where the names differ."""
REQUIRED = ("data", "command", "seconds", "scores", "architecture", "licence")
"""What the maker of a card must say; the rest (date, sizes, checksum, shared tensors) is filled in here."""
MOST_SIZE = 4096
"""Largest number in the architecture of an embedded model: a damaged card does not make a model of gigabytes."""


def training_command(name: str) -> str:
    """The command of the training script that makes the embedded model `name`."""
    return f"python -m assets.pretraining.{TRAINING_SCRIPTS.get(name, name)}"


def embedded_folder(name: str) -> Path:
    """The folder of the embedded model `name`, e.g. `"segmenter"`.

    Raises:
        Refused: no such model ships with the project.
    """
    folder = EMBEDDED_FOLDER / name
    if not (folder / CARD).is_file():
        raise Refused(f"no embedded model {name!r} in {EMBEDDED_FOLDER}; train it with `{training_command(name)}`")
    return folder


def is_embedded(path: Path) -> bool:
    """Whether a path is a folder of an embedded model, and no file or folder of a published one."""
    return (path / CARD).is_file()


def read_card(folder: Path) -> dict[str, Any]:
    """The card of the model in `folder`, without touching the weights (torch is not imported).

    Raises:
        Refused: there is none, or it lacks what every card says.
    """
    card = read_json(folder / CARD)
    if not isinstance(card.get("architecture"), dict | str):
        raise Refused(f"{folder / CARD} is no card of a model: it lacks the architecture; restore the folder")
    if _largest(card["architecture"]) > MOST_SIZE:
        raise Refused(f"{folder / CARD} describes no small model: a size is above {MOST_SIZE:,}; restore the folder")
    return card


def save_embedded(folder: Path, state: "Mapping[str, Tensor]", card: Mapping[str, Any]) -> None:
    """Write a model's weights (floating point as fp16, integers as they are) and its card into `folder`.

    Tensors that share memory (tied heads) are stored once; the card's `"aliases"` names the others.

    Args:
        folder: made if missing.
        state: a `state_dict()`.
        card: JSON values; must hold `REQUIRED`. Date, parameters, bytes, sha256 and aliases are added.

    Raises:
        ValueError: the card lacks a required entry, or a weight does not fit into half precision.
    """
    from safetensors.torch import save

    if missing := [key for key in REQUIRED if key not in card]:
        raise ValueError(f"the card lacks {missing}: say them before saving, a model without its origin is of no use")
    unique, aliases = _deduplicate(state)
    halves = {name: _half(name, tensor) for name, tensor in unique.items()}
    data = save(halves)
    full_card = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        **card,
        "parameters": sum(tensor.numel() for tensor in halves.values()),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "aliases": aliases,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(data)
    (folder / CARD).write_text(json.dumps(full_card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_embedded(folder: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Read back (state dict, card): floating point as float32, integer buffers as stored, shared tensors shared again.

    Raises:
        Refused: card or weights are missing or damaged, or the weights are not those that the card describes.
    """
    from safetensors.torch import load

    card = read_card(folder)
    open_model_file(folder / WEIGHTS).close()
    data = read_file(folder / WEIGHTS)
    if hashlib.sha256(data).hexdigest() != card.get("sha256"):
        raise Refused(f"{folder / WEIGHTS} is not the file its card describes: restore both files, or train again")
    try:
        state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load(data).items()}
        return {**state, **{alias: state[name] for alias, name in card["aliases"].items()}}, card
    except Exception as problem:
        raise Refused(f"{folder} holds no tensors as its card says ({said(problem)}): restore it") from problem


def _largest(sizes: object) -> float:
    """The largest number among JSON values; 0 where there is none."""
    if isinstance(sizes, dict | list):
        return max(map(_largest, sizes.values() if isinstance(sizes, dict) else sizes), default=0)
    return abs(sizes) if isinstance(sizes, int | float) else 0


def _deduplicate(state: "Mapping[str, Tensor]") -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Keep the first name of every piece of memory; return (unique tensors, other name -> first name)."""
    unique: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first_names: dict[tuple[object, ...], str] = {}
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and place in first_names:
            aliases[name] = first_names[place]
        else:
            first_names[place] = name
            unique[name] = tensor
    return unique, aliases


def _half(name: str, tensor: "Tensor") -> "Tensor":
    """The tensor as it is stored: a contiguous copy on the CPU, fp16 if it is floating point."""
    import torch

    tensor = tensor.detach().to("cpu", torch.float16 if tensor.is_floating_point() else tensor.dtype, copy=True)
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name} holds values that half precision cannot: lower the learning rate or rescale it")
    return tensor.contiguous()
