"""A model in transformers' layout, read from its folder alone: `config.json`, safetensors, a processor, a tokenizer.

Nothing is fetched and no code of the folder runs: the class is named here and never by the folder, weights are
safetensors, and they are taken only if they fit exactly.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import huggingface_hub.constants
import torch
import transformers
from numpy.typing import NDArray
from transformers.utils import logging

from ops.refusal import Refused
from resources.hub_layout import CONFIGURATION, TOKENIZER, lacking, weight_files
from resources.model_files import AGAIN, open_model_file
from resources.models.hub_kinds import CONFIG, model_type
from resources.models.weights import building, reading

PROCESSORS = CONFIGURATION["transformers"][1:]
MOST_ASPECT = 200
"""Longer side of an image by its shorter one: of a thinner one, nothing is left at a network's size."""
M = TypeVar("M")


def read_pretrained(kind: type[M], folder: Path, *, types: Sequence[str], device: torch.device | str = "cpu") -> M:
    """A network of transformers in float32 and in evaluation mode, filled with the weights of its folder.

    Args:
        kind: transformers' class.
        folder: `config.json` and `model.safetensors`, or its parts and their index.
        types: values of `model_type` in `config.json` that the class reads.
        device: where it runs.

    Raises:
        Refused: a file is missing, no model, damaged, a pickle, or of another model than the class.
    """
    found = model_type(folder)
    if found not in types:
        raise Refused(f"{folder / CONFIG} describes a {found!r} and no {' or '.join(types)}: name another model")
    weights = safe_weights(folder)
    with offline(), building(folder / CONFIG):
        config = kind.config_class.from_pretrained(folder, local_files_only=True)  # type: ignore[attr-defined]
        with torch.device("meta"):
            wanted = sum(part.numel() for part in kind(config).parameters())  # type: ignore[call-arg, attr-defined]
    if wanted > (held := sum(file.stat().st_size for file in weights)):
        raise Refused(
            f"{folder / CONFIG} describes {wanted:,} parameters, {weights[0].name} has {held:,} bytes; {AGAIN}"
        )
    with offline(), reading(weights[0]):
        model, report = kind.from_pretrained(  # type: ignore[attr-defined]
            folder,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    _demand_whole(report, weights[0])
    return model.to(device).eval()


def safe_weights(folder: Path) -> list[Path]:
    """The safetensors of a folder, each of which may be a model.

    Raises:
        Refused: there are none, one is missing or no model, or the index names files elsewhere.
    """
    if lacks := lacking(folder, "transformers"):
        raise Refused(f"{folder} lacks {', '.join(lacks[:3])}; {AGAIN}")
    files = weight_files(folder, "transformers")
    if pickles := [file.name for file in files if file.suffix != ".safetensors"]:
        raise Refused(
            f"{folder} holds {pickles[0]}, a pickle, which is not read: take a revision that has model.safetensors"
        )
    for file in files:
        open_model_file(file).close()
    return files


def read_image_processor(folder: Path) -> Any:
    """What brings images to the size and colours of a network.

    Raises:
        Refused: the folder does not describe it.
    """
    _demand_one(folder, PROCESSORS)
    with offline(), building(folder):
        return transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)


def read_text_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder.

    Raises:
        Refused: there is none, or it cannot be read.
    """
    _demand_one(folder, TOKENIZER)
    with offline(), building(folder):
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)


def demand_wide(image_HW3: NDArray[Any]) -> None:
    """Refuse an image of which nothing would be left at a network's size."""
    height, width = image_HW3.shape[:2]
    if max(height, width) > MOST_ASPECT * min(height, width):
        raise Refused(f"an image of {width} x {height} pixels is too narrow; crop it")


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Let transformers ask no server and write no report meanwhile."""
    was_offline, verbosity = huggingface_hub.constants.HF_HUB_OFFLINE, logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = was_offline
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _demand_one(folder: Path, names: Sequence[str]) -> None:
    there = [folder / name for name in names if (folder / name).exists()]
    if not there:
        raise Refused(f"{folder} holds no {' or '.join(names)}; {AGAIN}")
    for path in there:
        open_model_file(path).close()


def _demand_whole(report: dict[str, Any], weights: Path) -> None:
    """Refuse weights of which some have no place, or which leave a place empty."""
    problems = {
        "missing": sorted(report["missing_keys"]),
        "unknown": sorted(report["unexpected_keys"]),
        "of another shape": sorted(str(key[0]) for key in report["mismatched_keys"]),
    }
    if any(problems.values()):
        summary = "; ".join(
            f"{len(keys)} keys {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
            for kind, keys in problems.items()
            if keys
        )
        raise Refused(f"{weights} does not fit the {CONFIG} beside it: {summary}; {AGAIN}")
