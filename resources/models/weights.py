"""Other people's weights: read without running code, and taken only if they fit a model exactly.

Each library that reads a file is called in one place, and whatever it raises over damaged bytes becomes `Refused`:
which file, what is wrong, what to do.
"""

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ops.refusal import Refused
from resources.model_files import AGAIN, open_model_file, said
from resources.models.pickle_bounds import demand_bounded

NOTHING = re.compile(r"(?!)")
"""Matches no key."""
MOST_PICKLE_BYTES = 64 << 20
"""Of the pickle that names the tensors; theirs lie beside it."""
_UNPACKED_FREELY = 64 << 20
_MOST_UNPACKED = 4
"""A checkpoint may unpack to so many times its size, and to so many bytes whatever its size: tensors are stored as they
are, and an archive that unpacks to more is no checkpoint."""
_LEGACY_PICKLES = 5
"""Those before the tensors in files of torch before 1.6: magic number, protocol, system, content, keys of storages."""
_FOREIGN = re.compile(r"GLOBAL ([\w.]+)")


def read_torch(path: Path) -> dict[str, Any]:
    """A checkpoint written by torch.save, tensors and plain containers only.

    Raises:
        Refused: it is not there, no checkpoint, damaged, asks for more than plain data, or has keys that are no names.
    """
    with open_model_file(path) as file, reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about a TorchScript archive, which it then refuses
        _demand_bounded_archive(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    return named(state, source=path)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        Refused: it is not there, no safetensors file, or damaged.
    """
    open_model_file(path).close()
    with reading(path):
        return dict(load_file(path))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around a library that reads a file: what it raises over the bytes is the file's fault, and says so.

    Raises:
        Refused: anything was raised; one that is refused already gets the name of the file.
    """
    try:
        yield
    except Refused as problem:
        raise Refused(f"{path} is not read: {problem}; {AGAIN}") from problem
    except Exception as problem:
        foreign = _FOREIGN.search(str(problem))
        why = f"it asks for {foreign[1]}, only tensors are read" if foreign else said(problem)
        raise Refused(f"{path} is no readable checkpoint ({why}); {AGAIN}") from problem


@contextmanager
def building(source: Path | str) -> Iterator[None]:
    """Around the building of a model out of sizes that a file gives: sizes that fit no model are the file's fault.

    Raises:
        Refused: anything was raised.
    """
    try:
        yield
    except Refused:
        raise
    except Exception as problem:
        kind = type(problem).__name__
        raise Refused(f"{source} describes no model that can be built ({kind}: {said(problem)}); {AGAIN}") from problem


def named(content: object, *, source: Path | str) -> dict[str, Any]:
    """A dict whose keys are names.

    Raises:
        Refused: it is another container, or a key is no text.
    """
    if not isinstance(content, dict):
        raise Refused(f"{source} holds a {type(content).__name__} where a dict of tensors is expected; {AGAIN}")
    if strange := [key for key in content if not isinstance(key, str)]:
        raise Refused(f"{source} has {len(strange)} keys that are no names ({_first(strange)}); {AGAIN}")
    return content


def renamed(weights: Mapping[str, Any], rename: Callable[[str], str], *, source: Path | str) -> dict[str, Any]:
    """The weights under other names.

    Raises:
        Refused: two would get the same one.
    """
    found: dict[str, Any] = {}
    for key, value in weights.items():
        if rename(key) in found:
            raise Refused(f"{source} holds {rename(key)} twice, under different names; {AGAIN}")
        found[rename(key)] = value
    return found


def load_strictly(
    model: nn.Module, weights: Mapping[str, Tensor], *, source: Path | str, ignored: re.Pattern[str] = NOTHING
) -> None:
    """Load every parameter and buffer; see `accounted`."""
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    model.load_state_dict(accounted(weights, shapes, source=source, ignored=ignored))


def accounted(
    weights: Mapping[str, Any],
    shapes: Mapping[str, torch.Size],
    *,
    source: Path | str,
    ignored: re.Pattern[str] = NOTHING,
) -> dict[str, Tensor]:
    """Exactly the wanted tensors.

    Raises:
        Refused: keys are missing, unknown (and not `ignored`), no dense tensors of finite real numbers, or of another
            shape; counts them and names the first.
    """
    wanted = [key for key in sorted(shapes) if key in weights]
    tensors = [key for key in wanted if is_plain_tensor(weights[key])]
    problems = {
        "missing": sorted(shapes.keys() - weights.keys()),
        "unknown": sorted((key for key in weights if key not in shapes and not _matches(ignored, key)), key=repr),
        "without a dense tensor": [f"{key} {_kind(weights[key])}" for key in wanted if key not in tensors],
        "of another shape": [
            f"{key} {tuple(weights[key].shape)} for {tuple(shapes[key])}"
            for key in tensors
            if weights[key].shape != shapes[key]
        ],
        "with numbers that are none": [
            key for key in tensors if weights[key].shape == shapes[key] and not _is_finite(weights[key])
        ],
    }
    if any(problems.values()):
        summary = "; ".join(f"{len(keys)} keys {kind} ({_first(keys)})" for kind, keys in problems.items() if keys)
        raise Refused(
            f"{source} does not fit this model: {summary}. "
            "Is it the checkpoint of another model or size? `wordmask doctor` says which file is meant"
        )
    return {key: weights[key] for key in shapes}


def is_plain_tensor(value: object) -> bool:
    """Whether it is a tensor that holds each of its real numbers once."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_quantized or value.is_complex() or value.is_meta or value.is_nested)
    )


def _is_finite(tensor: Tensor) -> bool:
    """Whether it holds neither infinity nor NaN, with which a model answers nothing but NaN."""
    if not tensor.is_floating_point():
        return True
    return bool(torch.isfinite(tensor if tensor.element_size() > 1 else tensor.float()).all())


def _demand_bounded_archive(file: BinaryIO) -> None:
    """Refuse what would eat time or memory before any of it is unpacked; the file stands at its start again."""
    if file.read(4) == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            demand_bounded_pickles(archive, size=file.seek(0, 2))
    else:
        file.seek(0)
        for _ in range(_LEGACY_PICKLES):
            demand_bounded(file)
    file.seek(0)


def demand_bounded_pickles(archive: zipfile.ZipFile, *, size: int) -> None:
    """Refuse an archive of `size` bytes that unpacks to far more, or whose pickle is not bounded."""
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(_UNPACKED_FREELY, _MOST_UNPACKED * size):
        raise Refused(f"its {size:,} bytes unpack to {unpacked:,}; no checkpoint does")
    for member in members:
        if member.filename.endswith("data.pkl"):
            if member.file_size > MOST_PICKLE_BYTES:
                raise Refused(f"it names its tensors in more than {MOST_PICKLE_BYTES >> 20} MiB; no checkpoint does")
            demand_bounded(archive.read(member))


def _matches(pattern: re.Pattern[str], key: object) -> bool:
    return isinstance(key, str) and pattern.fullmatch(key) is not None


def _kind(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.layout).removeprefix('torch.')} {str(value.dtype).removeprefix('torch.')} on {value.device}"


def _first(keys: Sequence[object], most: int = 3) -> str:
    return ", ".join(str(key)[:60] for key in keys[:most]) + (", ..." if len(keys) > most else "")
