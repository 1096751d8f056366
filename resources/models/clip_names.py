"""What the name of a CLIP says about its network, from open_clip's own list of architectures. open_clip is not imported.

A CLIP of open_clip is named `ARCHITECTURE:tag`, such as `ViT-B-16:laion2b_s34b_b88k`.
"""

import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ops.refusal import Refused
from resources.model_files import read_json

CONFIG = "open_clip_config.json"
"""Beside the weights of a CLIP on a hub; its `model_cfg` is what the package's list has for an architecture."""


def split_name(name: str) -> tuple[str, str]:
    """Architecture and tag of `ARCHITECTURE:tag`.

    Raises:
        Refused: open_clip has no such architecture.
    """
    architecture, _, tag = name.partition(":")
    _ = architecture_config(architecture)
    return architecture, tag


@lru_cache(maxsize=64)
def architecture_config(architecture: str) -> Mapping[str, Any]:
    """What open_clip's list says of an architecture.

    Raises:
        Refused: it has none of that name.
    """
    folder = _list_of_architectures()
    if Path(architecture).name != architecture or not (folder / f"{architecture}.json").is_file():
        like = [path.stem for path in sorted(folder.glob("*.json")) if path.stem.startswith(architecture[:5])]
        raise Refused(f"open_clip has no architecture {architecture!r}; it has {', '.join(like[:8]) or 'none like it'}")
    return read_json(folder / f"{architecture}.json")


def has_tokens(model: Mapping[str, Any]) -> bool:
    """Whether the image tower is open_clip's own vision transformer, whose tokens GL-CLIP masks.

    Args:
        model: an architecture as open_clip describes it.
    """
    vision = model.get("vision_cfg", {})
    return "timm_model_name" not in vision and not isinstance(vision.get("layers"), list)


def _list_of_architectures() -> Path:
    spec = importlib.util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise Refused("the package open_clip_torch is not installed")
    return Path(spec.origin).parent / "model_configs"
