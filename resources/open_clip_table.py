"""What open_clip's own table says of a pretrained CLIP: the repository of its weights, and that of its tokenizer."""

from __future__ import annotations

from ops.refusal import Refused
from resources.model_entries import architectures
from resources.model_files import read_json


def published_clip(name: str) -> tuple[str, str]:
    """The repositories of the weights and of the tokenizer, "" where open_clip brings its own, of `ARCHITECTURE:tag`.

    Raises:
        Refused: open_clip is not installed or has no such weights; or its text tower is another model of the hub, which
            open_clip fetches by itself whenever it is built.
    """
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    architecture, _, tag = name.partition(":")
    entry = get_pretrained_cfg(architecture, tag)
    if not entry:
        tags = ", ".join(list_pretrained_tags_by_model(architecture)) or "none"
        raise Refused(f"open_clip has no weights {tag!r} of {architecture}; it has {tags}")
    owner, _, rest = entry.get("hf_hub", "").partition("/")
    model = rest.partition("/")[0]
    if not model:
        raise Refused(f"{name}: open_clip names no repository for it; take another tag")
    folder = architectures()
    assert folder is not None  # open_clip is installed
    text = read_json(folder / f"{architecture}.json").get("text_cfg", {})
    if text.get("hf_model_name"):
        raise Refused(
            f"{name}: its text tower is {text['hf_model_name']}, which open_clip fetches by itself whenever it is "
            "built; take a CLIP with a text tower of its own"
        )
    return f"{owner}/{model}", str(text.get("hf_tokenizer_name", ""))
