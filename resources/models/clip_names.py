"""What the name of a CLIP says about its network, by open_clip's own list of architectures; it is not imported.

A CLIP of open_clip is named `ARCHITECTURE:tag`, such as `ViT-B-16:laion2b_s34b_b88k`.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ops.refusal import Refused
from resources.model_entries import architectures
from resources.model_files import read_json

CONFIG = "open_clip_config.json"
"""Beside the weights of a CLIP on a hub; its `model_cfg` is what the package's list has for an architecture."""


@lru_cache(maxsize=64)
def architecture_config(architecture: str) -> Mapping[str, Any]:
    """What open_clip's list says of an architecture.

    Raises:
        Refused: it has none of that name.
    """
    folder = architectures()
    if folder is None or Path(architecture).name != architecture or not (folder / f"{architecture}.json").is_file():
        raise Refused(f"open_clip has no architecture {architecture!r}")
    return read_json(folder / f"{architecture}.json")


def has_tokens(model: Mapping[str, Any]) -> bool:
    """Whether the image tower is open_clip's own vision transformer, whose tokens GL-CLIP masks.

    Args:
        model: an architecture as open_clip describes it.
    """
    vision = model.get("vision_cfg", {})
    return "timm_model_name" not in vision and not isinstance(vision.get("layers"), list)
