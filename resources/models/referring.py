"""Referring segmenters: new ones on pretrained backbones, and trained ones from the description beside their weights.

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
from ops.refusal import Refused
from ops.segmenters import lavt
from ops.segmenters.lavt import Lavt, LavtConfig
from ops.segmenters.prediction import Segmenter
from resources.embedded.cards import is_embedded
from resources.models.refs import EMBEDDED
from resources.models.swin_bert import Tokenizer, embedded_tokenizer, load_bert, load_swin, new_bert, random_bert

if TYPE_CHECKING:  # open_clip takes long to import, and most segmenters have BERT
    from resources.models.clip_text import ClipTokenizer

    Words = Tokenizer | ClipTokenizer

Size = Literal["embedded", "swin_t", "swin_b"]
Text = Literal["bert", "clip"]
CONFIGS: Mapping[type, Mapping[Size, Any]] = {
    Lavt: {"embedded": lavt.EMBEDDED, "swin_t": lavt.SWIN_T_384, "swin_b": lavt.SWIN_B_480},
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
SWINS = {"swin_t": "swin_tiny_patch4_window7_224_22k.pth", "swin_b": "swin_base_patch4_window12_384_22k.pth"}
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
    """A LAVT or a MERES ready to be trained: backbones pretrained, all else new (from `seed`).

    Args:
        kind: `Lavt` or `Meres`.
        size: "embedded" takes embedded backbones, "swin_b" the published ones, "swin_t" smaller published ones (LAVT
            alone).
        switches: fields of the network's configuration to turn.
        text: the language encoder; CLIP's text tower reads at most 20 tokens.
        swin: folder of an embedded Swin (None: the one that ships), or `swin_base_patch4_window12_384_22k.pth`.
        words: folder of an embedded encoder (None: the one that ships), the folder of bert-base-uncased, or OpenAI's
            `ViT-L-14-336px.pt`.
        random_weights: leave the backbones at random too, for tests of the code path at full size.
        seed: of the new weights.

    Raises:
        Refused: a path is missing or of the other size, or a checkpoint does not fit.
    """
    if size not in CONFIGS[kind]:
        raise Refused(f"{kind.__name__} has no size {size!r}: choose {' or '.join(map(repr, CONFIGS[kind]))}")
    _check_sources(size, swin, words, text=text, random_weights=random_weights)
    config = replace(CONFIGS[kind][size], **(switches or {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        language, tokenizer = _language(text, config, words, random_weights=random_weights)
        model = kind(replace(config, max_tokens=tokenizer.max_tokens), language)
    if not random_weights:
        model.vision.swin.load_state_dict(load_swin(swin or EMBEDDED, config=config.swin))
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


def _check_sources(size: Size, swin: Path | None, words: Path | None, *, text: Text, random_weights: bool) -> None:
    small = [path is None or is_embedded(path) for path in (swin, words)]
    if size == "embedded" and not all(small):
        raise Refused("the embedded size brings its own backbones; pass published checkpoints with size='swin_b'")
    if size != "embedded" and any(small) and not random_weights:
        raise Refused(
            f"size={size!r} needs swin=<{SWINS[size]}> and words={WORDS[text]}; "
            "`wordmask doctor` says where people get them"
        )


def _language(
    text: Text, config: LavtConfig | MeresConfig, words: Path | None, *, random_weights: bool
) -> tuple[LanguageEncoder, Words]:
    if text == "clip":
        from resources.models.clip_text import load_clip_text, random_clip_text

        return random_clip_text(config.language_width) if random_weights else load_clip_text(words)
    if random_weights:
        return Bert(random_bert(config.language_width)), embedded_tokenizer(config.max_tokens)
    bert, tokenizer = load_bert(words or EMBEDDED, max_tokens=config.max_tokens)
    return Bert(bert), tokenizer


def _sizes_of(language: LanguageEncoder) -> dict[str, Any]:
    if isinstance(language, ClipText):
        from resources.models.clip_text import sizes_of

        return sizes_of(language)
    described = language.model.config.to_diff_dict()
    return {key: described[key] for key in BERT_SIZES if key in described}


def _config(described: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in described.items()}
