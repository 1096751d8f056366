"""Referring segmenters: new ones on pretrained trunks, and trained ones from the description beside their weights.

Belongs here: which network a description means. Reading other people's checkpoints is in `resources.models.swin_bert`
and `resources.models.clip_text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from transformers import BertConfig

from ops.backbones.language import Bert, ClipText, LanguageEncoder
from ops.meres import config as meres
from ops.meres.config import MeresConfig
from ops.meres.model import Meres
from ops.segmenters import lavt
from ops.segmenters.lavt import Lavt, LavtConfig
from ops.segmenters.prediction import Segmenter
from resources.models.swin_bert import Tokenizer, embedded_tokenizer, load_bert, load_swin, new_bert, random_bert

if TYPE_CHECKING:  # open_clip takes long to import, and most segmenters have BERT
    from resources.models.clip_text import ClipTokenizer

    Words = Tokenizer | ClipTokenizer

Size = Literal["embedded", "swin_b"]
Text = Literal["bert", "clip"]
CONFIGS: Mapping[type, Mapping[Size, Any]] = {
    Lavt: {"embedded": lavt.EMBEDDED, "swin_b": lavt.SWIN_B_480},
    Meres: {"embedded": meres.EMBEDDED, "swin_b": meres.SWIN_B_480},
}
BERT_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)
WORDS: Mapping[Text, str] = {"bert": "<folder of bert-base-uncased>", "clip": "<ViT-L-14-336px.pt>"}
S = TypeVar("S", bound=Lavt | Meres)


def build(
    kind: type[S],
    size: Size,
    *,
    switches: Mapping[str, Any] | None = None,
    text: Text = "bert",
    swin: Path | None = None,
    words: Path | None = None,
    random_weights: bool = False,
    seed: int = 0,
) -> tuple[S, Words]:
    """A LAVT or a MERES ready to be trained: trunks pretrained, all else new (from `seed`).

    Args:
        kind: `Lavt` or `Meres`.
        size: "embedded" takes the trunks that ship with the project, "swin_b" the published ones at the given paths.
        switches: fields of the network's configuration to turn.
        text: the language encoder; CLIP's text tower hears at most 20 tokens.
        swin: `swin_base_patch4_window12_384_22k.pth`; only for "swin_b".
        words: folder of bert-base-uncased, or OpenAI's `ViT-L-14-336px.pt`; only for "swin_b".
        random_weights: leave the trunks at random too, for tests of the code path at full size.
        seed: of the new weights.

    Raises:
        ValueError: a path is missing or superfluous, or a checkpoint does not fit.
    """
    if size == "embedded" and (swin or words):
        raise ValueError("the embedded size brings its own trunks; pass checkpoints with size='swin_b'")
    if size != "embedded" and not random_weights and (swin is None or words is None):
        raise ValueError(
            f"size={size!r} needs swin=<swin_base_patch4_window12_384_22k.pth> and words={WORDS[text]}; "
            "`wordmask doctor` says where people get them"
        )
    config = replace(CONFIGS[kind][size], **(switches or {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        language, tokenizer = _language(text, config, words, random_weights=random_weights)
        model = kind(replace(config, max_tokens=tokenizer.max_tokens), language)
    if not random_weights:
        model.vision.swin.load_state_dict(load_swin(swin or "embedded", config=config.swin))
    return model, tokenizer


def architecture_of(model: Segmenter) -> dict[str, Any]:
    """Everything `segmenter_from` needs to build the same network again, as JSON values; goes beside saved weights."""
    family = "lavt" if isinstance(model, Lavt) else "meres"
    return {family: asdict(model.config), model.language.name: _sizes_of(model.language)}


def segmenter_from(architecture: Mapping[str, Any]) -> Segmenter:
    """The network that `architecture_of` described, with fresh weights: load the saved ones into it."""
    language: LanguageEncoder
    if "clip" in architecture:
        from resources.models.clip_text import new_clip_text

        language = new_clip_text(architecture["clip"])
    else:
        language = Bert(new_bert(BertConfig(**architecture["bert"])))
    if "lavt" in architecture:
        return Lavt(LavtConfig(**_config(architecture["lavt"])), language)
    return Meres(MeresConfig(**_config(architecture["meres"])), language)


def tokenizer_from(card: Mapping[str, Any]) -> Words:
    """The tokenizer of a trained segmenter; `card` lies beside its weights."""
    if "clip" in card["architecture"]:
        from resources.models.clip_text import ClipTokenizer

        return ClipTokenizer(card["vocabulary"], max_tokens=card["max_tokens"])
    return Tokenizer(card["vocabulary"], max_tokens=card["max_tokens"])


def _language(
    text: Text, config: LavtConfig | MeresConfig, words: Path | None, *, random_weights: bool
) -> tuple[LanguageEncoder, Words]:
    if text == "clip":
        from resources.models.clip_text import load_clip_text, random_clip_text

        return random_clip_text(config.language_width) if random_weights else load_clip_text(words)
    if random_weights:
        return Bert(random_bert(config.language_width)), embedded_tokenizer(config.max_tokens)
    bert, tokenizer = load_bert(words or "embedded", max_tokens=config.max_tokens)
    return Bert(bert), tokenizer


def _sizes_of(language: LanguageEncoder) -> dict[str, Any]:
    if isinstance(language, ClipText):
        from resources.models.clip_text import sizes_of

        return sizes_of(language)
    described = language.model.config.to_diff_dict()
    return {key: described[key] for key in BERT_SIZES if key in described}


def _config(described: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in described.items()}
