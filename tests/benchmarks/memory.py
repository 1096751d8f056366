"""How much memory tensors take on a CPU, where no allocator counts for us."""

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Held(TorchDispatchMode):
    """Counts the bytes of all storages that operations made and that are still alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and note what it made; a view or an in-place result makes nothing."""
        given = {one.untyped_storage()._cdata for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        result = func(*args, **(kwargs or {}))
        for one in tree_leaves(result):
            if isinstance(one, Tensor) and (key := one.untyped_storage()._cdata) not in given | self.alive:
                self.alive.add(key)
                self._change(one.untyped_storage().nbytes())
                weakref.finalize(one.untyped_storage(), self._release, key, one.untyped_storage().nbytes())
        return result

    def _release(self, key: int, size: int) -> None:
        self.alive.discard(key)
        self._change(-size)

    def _change(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)
