"""The two small files of a BERT folder such as bert-base-uncased: its sizes and its word pieces."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.refusal import Refused
from resources.model_files import AGAIN, read_json, read_text

VOCABULARY = "vocab.txt"
CONFIG = "config.json"
DEFAULTS = {
    "vocab_size": 30_522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
"""Of bert-base-uncased, for what a configuration does not say."""
MOST_PARAMETERS = 2 * 10**9
"""BERT-large has 340 million."""


def read_bert_config(folder: Path) -> dict[str, Any]:
    """What `config.json` says, as JSON values.

    Raises:
        Refused: it is not there, no JSON object, or its sizes are none of a BERT.
    """
    config = read_json(_file(folder, CONFIG))
    if problem := _wrong_sizes(config):
        raise Refused(f"{folder / CONFIG} describes no BERT: {problem}; {AGAIN}")
    return config


def read_vocabulary(folder: Path) -> list[str]:
    """The word pieces in `vocab.txt`, one a line, in the order of their ids.

    Raises:
        Refused: it is not there, no UTF-8 text, or names a word piece twice.
    """
    pieces = read_text(_file(folder, VOCABULARY)).splitlines()
    if len(set(pieces)) < len(pieces):
        twice = next(piece for number, piece in enumerate(pieces) if piece in pieces[:number])
        raise Refused(f"{folder / VOCABULARY} names {twice[:40]!r} twice, so ids are not certain; {AGAIN}")
    return pieces


def demand_ids(pieces: int, size: int, *, source: Path) -> None:
    """Refuse a vocabulary whose last ids have no vector in the model."""
    if pieces > size:
        raise Refused(f"{source / VOCABULARY} has {pieces:,} word pieces, the model {size:,} vectors; {AGAIN}")


def _file(folder: Path, name: str) -> Path:
    if not (folder / name).exists():
        raise Refused(f"{folder} holds no {name}: give the folder of bert-base-uncased ({CONFIG}, {VOCABULARY})")
    return folder / name


def _wrong_sizes(config: Mapping[str, Any]) -> str:
    sizes = {**DEFAULTS, **{name: config[name] for name in DEFAULTS if name in config}}
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            return f"{name} is {str(size)[:40]}"
    width, layers = sizes["hidden_size"], sizes["num_hidden_layers"]
    if width % sizes["num_attention_heads"]:
        return f"a width of {width} is not divided by {sizes['num_attention_heads']} heads"
    tables = sizes["vocab_size"] + sizes["max_position_embeddings"] + sizes["type_vocab_size"]
    parameters = width * tables + layers * width * (4 * width + 2 * sizes["intermediate_size"])
    return f"it would have {parameters:.1e} parameters" if parameters > MOST_PARAMETERS or layers > 1000 else ""
