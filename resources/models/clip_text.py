"""CLIP's text tower without its vision tower, embedded or published, and its tokenizer (MERES spec 10).

Belongs here: reading other people's checkpoints. What a segmenter makes of the tower is in `ops.backbones.language`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
from open_clip.transformer import QuickGELU, TextTransformer
from torch import Tensor, nn

from ops.backbones.language import ClipText, attention_mask
from resources.embedded.cards import is_embedded, load_embedded, read_card
from resources.models.clip import FULL_SIZES, WordTokenizer, read_state, read_words
from resources.models.refs import ModelRef
from resources.models.weights import building, load_strictly

PUBLISHED = "ViT-L-14-336"
"""Its text tower is as wide as BERT-base [I: CGFormer]."""
MAX_TOKENS = 20
"""Start and end included [I: CGFormer]."""
IGNORED = re.compile(r"visual\..*|text_projection|logit_scale|input_resolution|context_length|vocab_size")
"""Keys of a whole CLIP that its text tower has no place for."""


class ClipTokenizer:
    """Expressions as CLIP's ids, start and end included; one that is too long loses its last words, never its end."""

    def __init__(self, words: Sequence[str], *, max_tokens: int = MAX_TOKENS) -> None:
        """`words` are those of an embedded CLIP; none: OpenAI's byte pairs."""
        self.words = tuple(words)
        self.max_tokens = max_tokens
        self._ids = (
            WordTokenizer(words, context_length=max_tokens)
            if words
            else open_clip.get_tokenizer(FULL_SIZES[PUBLISHED], context_length=max_tokens)
        )

    def encode(self, expressions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask (see `ops.backbones.language.attention_mask`), both int64 (expressions, max_tokens)."""
        ids_NT: Tensor = self._ids(list(expressions)).long()
        return ids_NT, attention_mask(ids_NT)

    def card(self) -> dict[str, Any]:
        """What is saved beside weights, as JSON values."""
        return {"vocabulary": list(self.words), "max_tokens": self.max_tokens}


def new_clip_text(sizes: Mapping[str, Any]) -> ClipText:
    """A tower with fresh weights.

    Args:
        sizes: `context_length`, `vocab_size`, `width`, `heads`, `layers`, and whether it has `quick_gelu`.
    """
    parts = dict(sizes)
    activation = QuickGELU if parts.pop("quick_gelu") else nn.GELU
    return ClipText(TextTransformer(**parts, output_dim=None, act_layer=activation))


def sizes_of(text: ClipText) -> dict[str, Any]:
    """The sizes that `new_clip_text` takes, as JSON values."""
    tower = text.model
    blocks = tower.transformer.resblocks
    return {
        "context_length": len(tower.positional_embedding),
        "vocab_size": tower.token_embedding.num_embeddings,
        "width": text.width,
        "heads": blocks[0].attn.num_heads,
        "layers": len(blocks),
        "quick_gelu": isinstance(blocks[0].mlp.gelu, QuickGELU),
    }


def random_clip_text(width: int) -> tuple[ClipText, ClipTokenizer]:
    """The tower of ViT-L/14-336, 768 wide, or the embedded one, at random, and the small tokenizer."""
    folder = ModelRef("clip_vit").path()
    sizes = published_sizes() if width == 768 else embedded_sizes(folder)
    return new_clip_text(sizes), ClipTokenizer(read_words(folder))


def load_clip_text(checkpoint: Path | None = None) -> tuple[ClipText, ClipTokenizer]:
    """The text tower of an embedded CLIP (its folder; None: the one that ships) or of OpenAI's ViT-L/14-336 (its file).

    Returns:
        The tower and its tokenizer.

    Raises:
        Refused: the file is missing, or keys are missing or unexpected.
    """
    source = checkpoint or ModelRef("clip_vit").path()
    if is_embedded(source):
        weights, words, sizes = load_embedded(source)[0], read_words(source), embedded_sizes(source)
    else:
        weights, words, sizes = read_state(source), [], published_sizes()
    with building(source):
        text = new_clip_text(sizes)
    load_strictly(text.model, weights, source=source, ignored=IGNORED)
    return text, ClipTokenizer(words)


def embedded_sizes(folder: Path) -> dict[str, Any]:
    """The sizes of an embedded CLIP's text tower, as `new_clip_text` takes them."""
    architecture = read_card(folder)["architecture"]
    with building(folder):
        return {**architecture["text_cfg"], "quick_gelu": False}


def published_sizes() -> dict[str, Any]:
    """The sizes of the text tower of ViT-L/14-336, as `new_clip_text` takes them."""
    config = open_clip.get_model_config(FULL_SIZES[PUBLISHED])
    return {**config["text_cfg"], "quick_gelu": config["quick_gelu"]}
