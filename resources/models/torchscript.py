"""The tensors of a TorchScript archive, read without running any of its code.

`torch.jit.load` runs the `__setstate__` of an archive's classes, which may write files. Here the archive is a zip with
a pickle: classes of the archive become plain records of their attributes, tensors are rebuilt from their raw bytes, and
everything else that the pickle asks for is refused. OpenAI's CLIP files are such archives.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ops.refusal import Refused
from resources.model_files import open_model_file
from resources.models.weights import demand_bounded_pickles, reading

DTYPES: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
ZIP = b"PK\x03\x04"
MOST_ATTRIBUTES = 200_000
"""Of all modules of an archive; CLIP's largest has a few thousand."""
MOST_LETTERS = 2_000
"""In the name of a tensor."""
LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")


def is_torchscript(path: Path) -> bool:
    """Whether a file is a zip with TorchScript's constants.

    Raises:
        Refused: as `resources.model_files.open_model_file`; or it begins as a zip and is none.
    """
    with open_model_file(path) as file, reading(path):
        if file.read(4) != ZIP:
            return False
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, as `state_dict` names them: attributes of the archive's modules that are tensors.

    Raises:
        Refused: the archive is damaged, or its pickle asks for anything but modules and tensors.
    """
    with open_model_file(path) as file, reading(path), zipfile.ZipFile(file) as archive:
        demand_bounded_pickles(archive, size=path.stat().st_size)
        root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
        module = _ArchiveUnpickler(archive, root).load()
        if not isinstance(module, _Module):
            raise Refused(f"it holds a {type(module).__name__}, not a module with tensors")
        return _tensors(module)


class _Module:
    """An object of one of the archive's classes: its attributes, and nothing that could run."""

    attributes: dict[str, Any]

    def __new__(cls, *_: object) -> "_Module":
        """Without attributes, as a pickle makes it."""
        module = super().__new__(cls)
        module.attributes = {}
        return module

    def __setstate__(self, state: object) -> None:
        """Take the attributes; a state of another kind belongs to a class that makes its own, and is left alone."""
        if isinstance(state, dict):
            self.attributes.update(state)


class _ArchiveUnpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}data.pkl")))
        self.archive, self.root = archive, root
        self.storages: dict[tuple[torch.dtype, str], Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a global of the pickle stands for.

        Raises:
            Refused: it is neither a class of the archive nor a part of a tensor.
        """
        if module.split(".")[0] == "__torch__":
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module == "torch.jit._pickle" and name in LISTS:
            return list
        raise Refused(f"its pickle asks for {module}.{name}; only modules and tensors are read")

    def persistent_load(self, pid: object) -> Tensor:
        """The one-dimensional tensor of a storage, which lies beside the pickle."""
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], torch.dtype):
            raise Refused(f"its pickle asks for the outside object of {type(pid).__name__}, not for a storage")
        _, dtype, key, _, count = pid
        if (dtype, key) not in self.storages:
            self.storages[dtype, key] = self._storage(dtype, key, count)
        return self.storages[dtype, key]

    def _storage(self, dtype: torch.dtype, key: str, count: int) -> Tensor:
        content = bytearray(self.archive.read(f"{self.root}data/{key}"))
        if len(content) != count * dtype.itemsize:
            raise Refused(f"tensor {key} has {len(content)} bytes instead of {count * dtype.itemsize}")
        return torch.frombuffer(content, dtype=dtype) if count else torch.empty(0, dtype=dtype)


def _rebuilt(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    """A view of a storage; torch refuses what lies outside of it."""
    return storage.as_strided(size, stride, offset)


def _tensors(module: _Module) -> dict[str, Tensor]:
    """The tensors of a module and of the modules in it, each under all its names.

    Raises:
        Refused: there are more attributes than any model has, as where modules hold themselves or each other.
    """
    found: dict[str, Tensor] = {}
    left, seen = [("", module)], 0
    while left:
        prefix, holder = left.pop()
        for name, value in holder.attributes.items():
            if isinstance(value, Tensor):
                found[f"{prefix}{name}"] = value
            elif isinstance(value, _Module):
                left.append((f"{prefix}{name}.", value))
        seen += 1 + len(holder.attributes)
        if seen > MOST_ATTRIBUTES or len(prefix) > MOST_LETTERS:
            raise Refused(f"it has more than {MOST_ATTRIBUTES:,} attributes, or modules within each other without end")
    return found
