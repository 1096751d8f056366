"""Any CLIP of open_clip, from a folder as it lies on a hub: as `ARCHITECTURE:tag`, or as its configuration says.

Mean, deviation, size, resizing, interpolation, activation, tokenizer, length of texts, scale and bias are the model's
own: those that open_clip lists for the tag, or those in the folder's `open_clip_config.json`. Nothing is fetched.
"""

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer
from torch import Tensor, nn

from ops.refusal import Refused
from resources.hub_layout import TOKENIZER, WEIGHTS, weight_files
from resources.model_files import AGAIN, read_json
from resources.models.clip import Clip, Tokenizer, read_state
from resources.models.clip_images import Preparation
from resources.models.clip_names import CONFIG, architecture_config
from resources.models.pretrained_folder import offline
from resources.models.weights import building, load_strictly, named, renamed

_EXTRAS = re.compile(r"input_resolution|context_length|vocab_size|text\.transformer\.embeddings\.position_ids")
"""Of OpenAI's archives, and an index of old transformers."""


def load_open_clip(name: str, folder: Path, *, device: torch.device | str = "cpu") -> Clip:
    """Read a CLIP of open_clip.

    Args:
        name: `ARCHITECTURE:tag`, as open_clip lists it; of any other name the folder's configuration counts.
        folder: the weights; `open_clip_config.json` unless open_clip lists the model; a tokenizer that is not its own.
        device: where the network runs.

    Raises:
        Refused: an unknown architecture or tag, a file that is missing or damaged, or weights of another model.
    """
    architecture, _, tag = name.partition(":")
    listed = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    source = name if listed else folder / CONFIG
    model_config = dict(architecture_config(architecture)) if listed else _model_config(folder, name)
    text = _text_config(model_config, source=source)
    with _building(source):
        model = open_clip.create_model(
            architecture if listed else f"local-dir:{folder}",
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=bool(listed.get("quick_gelu")),
            force_preprocess_cfg=dict(listed),
        )
        preparation = Preparation.from_config(model.visual.preprocess_cfg)
    weights = _weights_in(folder)
    load_strictly(model, _fitting(model, read_state(weights), weights), source=weights, ignored=_EXTRAS)
    tokenizer = _tokenizer(text, folder)
    return Clip(model, tokenizer, device=device, preparation=preparation, width=int(model_config["embed_dim"]))


def _model_config(folder: Path, name: str) -> dict[str, Any]:
    """What the folder's own configuration says of the network."""
    architecture, _, tag = name.partition(":")
    if tag and not (folder / CONFIG).exists():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise Refused(f"open_clip lists no weights {tag!r} of {architecture} (it has {tags}), and {folder} no {CONFIG}")
    config = read_json(folder / CONFIG).get("model_cfg")
    if not isinstance(config, dict) or not isinstance(config.get("text_cfg"), dict) or "embed_dim" not in config:
        raise Refused(f"{folder / CONFIG} describes no CLIP in its 'model_cfg'; {AGAIN}")
    return config


def _text_config(config: Mapping[str, Any], *, source: Path | str) -> dict[str, Any]:
    """How texts are read; one that is read by a network of transformers has no files here."""
    text: dict[str, Any] = config["text_cfg"]
    if reader := text.get("hf_model_name"):
        raise Refused(f"{source} reads its texts with {reader}, which is not supported: choose another CLIP")
    return text


def _weights_in(folder: Path) -> Path:
    files = weight_files(folder, "open_clip")
    if len(files) != 1:
        raise Refused(f"{folder} holds no {WEIGHTS['open_clip'][0]}; {AGAIN}")
    return files[0]


def _fitting(model: nn.Module, content: Mapping[str, Any], source: Path) -> dict[str, Tensor]:
    """Weights under the names of open_clip's network, as its own loader brings them there."""
    inner = named(content["state_dict"], source=source) if "state_dict" in content else dict(content)
    weights = renamed(inner, lambda key: key.removeprefix("module."), source=source)
    with building(source):
        weights = convert_state_dict(model, weights)
        if "positional_embedding" in weights and not hasattr(model, "positional_embedding"):
            weights = convert_to_custom_text_state_dict(weights)
    for name in ("logit_scale", "logit_bias"):
        own = getattr(model, name, None)
        if own is not None and isinstance(weights.get(name), Tensor) and weights[name].numel() == 1:
            weights[name] = weights[name].reshape(own.shape)
    return weights


def _tokenizer(text: Mapping[str, Any], folder: Path) -> Tokenizer:
    """open_clip's byte pairs, or the tokenizer of transformers that lies beside the weights."""
    length = int(text.get("context_length", DEFAULT_CONTEXT_LENGTH))
    options = dict(text.get("tokenizer_kwargs", {}))
    if not (foreign := text.get("hf_tokenizer_name")):
        return SimpleTokenizer(context_length=length, **options)
    if not any((folder / name).exists() for name in TOKENIZER):
        raise Refused(f"{folder} holds no {TOKENIZER[0]}: put the tokenizer of {foreign} beside the weights")
    with _building(folder):
        read = HFTokenizer(
            str(folder),
            context_length=length,
            tokenizer_mode=text.get("tokenizer_mode"),
            local_files_only=True,
            **options,
        )
    if (count := len(read.tokenizer)) > (size := int(text.get("vocab_size", count))):
        raise Refused(f"the tokenizer in {folder} has {count:,} tokens, the model {size:,} vectors; {AGAIN}")
    return read


@contextlib.contextmanager
def _building(source: Path | str) -> Iterator[None]:
    """`building`, with no server asked and without open_clip's warning that the weights are still to come."""
    with offline(), building(source):
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
