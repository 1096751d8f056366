"""Which files of a folder or of a hub's repository make a model, and what is remembered of where they came from.

Weights that can be read as plain tensors are preferred; code, pictures, other frameworks' weights and weights of other
precisions are left where they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ops.refusal import Refused
from resources.model_entries import Layout
from resources.model_files import read_json
from storage.files import write_bytes

RECORD = "wordmask.json"
"""Beside the files: repository, revision, sizes and digests as the hub gave them."""
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
CONFIGURATION: dict[Layout, tuple[str, ...]] = {
    "transformers": ("config.json", "preprocessor_config.json", "processor_config.json"),
    "open_clip": ("open_clip_config.json",),
}
WEIGHTS: dict[Layout, tuple[str, ...]] = {
    "transformers": (
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    ),
    "open_clip": (
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.safetensors",
        "pytorch_model.safetensors",
        "open_clip_pytorch_model.bin",
        "pytorch_model.bin",
    ),
}
"""In the order of preference; an index stands for the pieces that it names."""
_INDEX = ".index.json"
_WHEEL = "-py3-none-any.whl"
_LISTING = 10_000
"""Files of a folder that are looked at."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One file as the hub describes it."""

    size: int | None = None
    sha256: str | None = None
    """Of large files."""
    blob: str | None = None
    """git's own digest, of small files."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What came from one repository."""

    repository: str
    revision: str
    """Commit."""
    files: dict[str, Recorded]


@dataclass(frozen=True, kw_only=True)
class Record:
    """Where the files of a folder came from."""

    name: str
    licence: str = ""
    parts: list[Part] = field(default_factory=list)
    """The first holds the weights."""
    archive: str = ""
    """Address of the archive that was unpacked."""

    @property
    def revision(self) -> str:
        """Commit of the weights; of what was unpacked the name of the archive."""
        return self.parts[0].revision if self.parts else Path(self.archive).name.removesuffix(_WHEEL)

    @property
    def files(self) -> dict[str, Recorded]:
        """Every file."""
        return {name: file for part in self.parts for name, file in part.files.items()}


def chosen(names: Collection[str], layout: Layout) -> tuple[str, ...]:
    """The files of a model among those of a folder or a repository, weights last; those without weights have none."""
    there = {name for name in names if "/" not in name}
    beside = (*CONFIGURATION[layout], *TOKENIZER)
    return (*(name for name in beside if name in there), *weights_among(there, layout))


def weights_among(names: Collection[str], layout: Layout) -> tuple[str, ...]:
    """The weights of a model among the files of a folder: one file, or an index and its pieces; none: ()."""
    best = next((name for name in WEIGHTS[layout] if name in names and (_pieces(name, names) or not _is(name))), None)
    if best is None:
        return ()
    return (best, *_pieces(best, names)) if _is(best) else (best,)


def lacking(folder: Path, layout: Layout) -> list[str]:
    """What a folder lacks to be a model of a layout, by name; []: it is whole, as far as names tell."""
    names = listed(folder)
    lacks = [CONFIGURATION[layout][0]] if layout == "transformers" and "config.json" not in names else []
    found = weights_among(names, layout)
    if not found:
        lacks.append(WEIGHTS[layout][0])
    elif _is(found[0]):
        lacks += sorted(indexed(folder / found[0]) - set(found))
    record = read_record(folder)
    return list(dict.fromkeys((*lacks, *(name for name in (record.files if record else ()) if name not in names))))


def indexed(index: Path) -> set[str]:
    """The pieces that an index of weights names.

    Raises:
        Refused: it is no such index, or names a file outside its folder.
    """
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise Refused(f"{index} is no index of weights; fetch it again")
    pieces = set(places.values())
    if wrong := sorted(name for name in pieces if Path(name).name != name or name.startswith(".")):
        raise Refused(f"{index} names {wrong[0]!r}, which is no file beside it; fetch it again")
    return pieces


def listed(folder: Path) -> set[str]:
    """Names of the regular files of a folder, or links to such; {} where there is no folder."""
    if not folder.is_dir():
        return set()
    return {path.name for path, _ in zip(folder.iterdir(), range(_LISTING), strict=False) if path.is_file()}


def model_files(folder: Path, layout: Layout) -> list[Path]:
    """The files that make the model in a folder: those that its identity digests, and a loader may read."""
    return [folder / name for name in chosen(listed(folder), layout)]


def weight_files(folder: Path, layout: Layout) -> list[Path]:
    """The weights in a folder: one file, or the pieces that an index names, the index left out."""
    return [folder / name for name in weights_among(listed(folder), layout) if not _is(name)]


def write_record(folder: Path, record: Record) -> None:
    """Remember where the files of a folder come from."""
    write_bytes(folder / RECORD, (json.dumps(asdict(record), indent=2, sort_keys=True) + "\n").encode())


def read_record(folder: Path) -> Record | None:
    """What is remembered of a folder; None: nothing, or nothing that can be read (it was put there by hand)."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        return Record(
            name=str(content["name"]),
            licence=str(content["licence"]),
            parts=[_part(part) for part in content["parts"]],
            archive=str(content.get("archive", "")),
        )
    except (Refused, KeyError, TypeError, AttributeError):
        return None


def _part(content: dict[str, object]) -> Part:
    files = content["files"]
    if not isinstance(files, dict) or any("/" in name or name in ("", ".", "..") for name in files):
        raise TypeError("files")
    return Part(
        repository=str(content["repository"]),
        revision=str(content["revision"]),
        files={name: Recorded(**file) for name, file in files.items()},
    )


def _is(name: str) -> bool:
    return name.endswith(_INDEX)


def _pieces(index: str, names: Iterable[str]) -> tuple[str, ...]:
    """`model.safetensors.index.json` -> `model-00001-of-00003.safetensors` and so on."""
    stem, _, kind = index.removesuffix(_INDEX).rpartition(".")
    piece = re.compile(rf"{re.escape(stem)}-\d{{5}}-of-\d{{5}}\.{re.escape(kind)}")
    return tuple(sorted(name for name in names if piece.fullmatch(name)))
