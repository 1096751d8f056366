"""Referring segmenters: new ones on pretrained trunks, and trained ones from the description beside their weights.

Belongs here: which network a description means. Reading other people's checkpoints is in `resources.models.backbones`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from transformers import BertConfig, BertModel

from ops import lavt
from ops.lavt import Lavt, LavtConfig
from ops.meres import config as meres
from ops.meres.config import MeresConfig
from ops.meres.model import Meres
from ops.prediction import Segmenter
from resources.models.backbones import Tokenizer, embedded_tokenizer, load_bert, load_swin, new_bert, random_bert

Size = Literal["embedded", "swin_b"]
LAVTS: dict[Size, LavtConfig] = {"embedded": lavt.EMBEDDED, "swin_b": lavt.SWIN_B_480}
MERES: dict[Size, MeresConfig] = {"embedded": meres.EMBEDDED, "swin_b": meres.SWIN_B_480}
BERT_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)
S = TypeVar("S", Lavt, Meres)


def build_lavt(
    size: Size, *, swin: Path | None = None, bert: Path | None = None, random_weights: bool = False, seed: int = 0
) -> tuple[Lavt, Tokenizer]:
    """A LAVT ready to be trained: trunks pretrained, fusion and decoder new (from `seed`).

    Args:
        size: "embedded" takes the trunks that ship with the project, "swin_b" the published ones at the given paths.
        swin: `swin_base_patch4_window12_384_22k.pth`; only for "swin_b".
        bert: folder of bert-base-uncased; only for "swin_b".
        random_weights: leave the trunks at random too, for tests of the code path at full size.
        seed: of the new weights.

    Raises:
        ValueError: a path is missing or superfluous, or a checkpoint does not fit.
    """
    config = LAVTS[size]
    _demand_paths(size, swin, bert, random_weights=random_weights)
    model, tokenizer = _seeded(lambda text: Lavt(config, text), config, bert, random_weights=random_weights, seed=seed)
    if not random_weights:
        model.vision.backbone.swin.load_state_dict(load_swin(swin or "embedded", config=config.swin))
    return model, tokenizer


def build_meres(
    size: Size,
    *,
    switches: Mapping[str, Any] | None = None,
    swin: Path | None = None,
    bert: Path | None = None,
    random_weights: bool = False,
    seed: int = 0,
) -> tuple[Meres, Tokenizer]:
    """A MERES ready to be trained; `switches` are fields of `MeresConfig` to turn, the rest is as in `build_lavt`."""
    config = replace(MERES[size], **(switches or {}))
    _demand_paths(size, swin, bert, random_weights=random_weights)
    model, tokenizer = _seeded(lambda text: Meres(config, text), config, bert, random_weights=random_weights, seed=seed)
    if not random_weights:
        model.vision.swin.load_state_dict(load_swin(swin or "embedded", config=config.swin))
    return model, tokenizer


def architecture_of(model: Segmenter) -> dict[str, Any]:
    """Everything `segmenter_from` needs to build the same network again, as JSON values; goes beside saved weights."""
    text = model.bert.config.to_diff_dict()
    family = "lavt" if isinstance(model, Lavt) else "meres"
    return {family: asdict(model.config), "bert": {key: text[key] for key in BERT_SIZES if key in text}}


def segmenter_from(architecture: Mapping[str, Any]) -> Segmenter:
    """The network that `architecture_of` described, with fresh weights: load the saved ones into it."""
    text = new_bert(BertConfig(**architecture["bert"]))
    if "lavt" in architecture:
        return Lavt(LavtConfig(**_sizes(architecture["lavt"])), text)
    return Meres(MeresConfig(**_sizes(architecture["meres"])), text)


def _demand_paths(size: Size, swin: Path | None, bert: Path | None, *, random_weights: bool) -> None:
    if size == "embedded" and (swin or bert):
        raise ValueError("the embedded size brings its own trunks; pass checkpoints with size='swin_b'")
    if size != "embedded" and not random_weights and (swin is None or bert is None):
        raise ValueError(
            f"size={size!r} needs swin=<swin_base_patch4_window12_384_22k.pth> and bert=<folder of bert-base-uncased>; "
            "`wordmask doctor` says where people get them"
        )


def _seeded(
    make: Callable[[BertModel], S],
    config: LavtConfig | MeresConfig,
    bert: Path | None,
    *,
    random_weights: bool,
    seed: int,
) -> tuple[S, Tokenizer]:
    """The network around its BERT, everything that is not pretrained drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if random_weights:
            text, tokenizer = random_bert(config.language_width), embedded_tokenizer(config.max_tokens)
        else:
            text, tokenizer = load_bert(bert or "embedded", max_tokens=config.max_tokens)
        return make(text), tokenizer


def _sizes(described: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in described.items()}
