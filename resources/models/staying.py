"""Pretrained models stay loaded: a later stage of the same process that names one has it at once.

A run in a terminal is one process. In the pages every step is a process of its own, and loads what it needs.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from resources.memory import available_memory
from resources.models.refs import Kind, ModelRef
from resources.runtime import Runtime

SHARE = 4
"""Models that nobody uses hold this part of the free memory at most: a fourth."""
Key = tuple[str, ...]
P = ParamSpec("P")
M = TypeVar("M")

_loaded: WeakValueDictionary[Key, object] = WeakValueDictionary()
"""All that somebody still holds."""
_kept: OrderedDict[Key, tuple[object, int]] = OrderedDict()
"""What is held here, with its bytes; the last used comes last."""


def staying(kind: Kind) -> Callable[[Callable[Concatenate[str, P], M]], Callable[Concatenate[str, P], M]]:
    """Have a function that opens a model of some kind, by its name and for a runtime, give the loaded one again.

    Weights that changed, another device, or `compile` turned make another model. What is opened so must not be changed.
    """

    def decorated(load: Callable[Concatenate[str, P], M]) -> Callable[Concatenate[str, P], M]:
        @wraps(load)
        def opened(name: str, /, *args: P.args, **kwargs: P.kwargs) -> M:
            ref, runtime = ModelRef(kind, name), next((one for one in args if isinstance(one, Runtime)), None)
            device = runtime.torch_device() if runtime else "cpu"
            files = [part.path() for part in ref.parts]
            identities = (part.identity() for part in ref.parts)
            key = (load.__name__, ref.registry_name, *identities, device, str(runtime and runtime.compile))
            model = _loaded.get(key)
            if model is None:
                model = load(name, *args, **kwargs)
                _loaded[key] = model
            _keep(key, model, sum(map(_size, files)), room=_room(device))
            return model  # type: ignore[return-value]  # the key names the function

        return opened

    return decorated


def let_go() -> None:
    """Hold no model any longer that nobody uses: a training begins, or the memory does not suffice."""
    _kept.clear()


def _keep(key: Key, model: object, size: int, *, room: int) -> None:
    """Hold a model if there is room for it, and those that were used before it as far as there is room for them."""
    _kept.pop(key, None)
    while _kept and size + sum(other for _, other in _kept.values()) > room:
        _kept.popitem(last=False)
    if size <= room:
        _kept[key] = model, size


def _room(device: str) -> int:
    """Bytes that may be held."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0] // SHARE
    return available_memory() // SHARE


def _size(path: Path) -> int:
    """Bytes of a checkpoint's files."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
