"""Passes of published networks that several images share: as many as the memory holds, in the precision asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from resources.models.staying import let_go
from resources.runtime import Precision, Runtime

ENCODERS = (
    "visual",
    "image_encoder",
    "vision_encoder",
    "model.backbone",
    "backbone",
    "owlv2.vision_model",
    "owlvit.vision_model",
)
"""What the packages call the part that reads images."""
Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""
InPrecision = Callable[[], AbstractContextManager[None]]
"""Entered for each pass of a network, see `passes`."""
R = TypeVar("R")
T = TypeVar("T")


class Batches(Generic[T, R]):
    """Calls a function with as many items as the device's memory holds.

    Attributes:
        size: items of a call; halved, and it stays so, when the memory does not suffice.
    """

    def __init__(self, compute: Callable[[Sequence[T]], Sequence[R]], *, runtime: Runtime, size: int) -> None:
        self._compute, self._runtime = compute, runtime
        self.size = size
        runtime.note({"batch": str(size)})

    def __call__(self, items: Sequence[T]) -> list[R]:
        """One result an item, in order.

        Raises:
            torch.OutOfMemoryError: the memory does not even hold one.
        """
        results: list[R] = []
        while len(results) < len(items):
            part = items[len(results) : len(results) + self.size]
            try:
                results += self._compute(part)
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self._halve(len(part))
        return results

    def _halve(self, tried: int) -> None:
        let_go()
        torch.cuda.empty_cache()
        self.size = (tried + 1) // 2
        self._runtime.note({"batch": str(self.size)})


def in_shapes(
    compute: Callable[[Sequence[Image], Sequence[T]], Sequence[R]], images: Sequence[Image], asked: Sequence[T]
) -> list[R]:
    """What `compute` gives for each image and what is asked of it, called once for all images of a shape."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image.shape, []).append(row)
    found: dict[int, R] = {}
    for alike in rows.values():
        part = compute([images[row] for row in alike], [asked[row] for row in alike])
        found |= dict(zip(alike, part, strict=True))
    return [found[row] for row in range(len(images))]


@contextmanager
def passes(runtime: Runtime, precision: Precision) -> Iterator[None]:
    """Within it networks compute in the precision that was asked for, as the device can; their weights stay float32."""
    fast, device = runtime.bf16(precision), runtime.torch_device().split(":")[0]
    with torch.autocast(device, torch.bfloat16, enabled=fast):
        yield


def settle(model: nn.Module, runtime: Runtime) -> None:
    """Lay out a network as convolutions on a GPU like it, and compile its encoder of images where asked; in place."""
    if runtime.torch_device().startswith("cuda"):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if runtime.compile:
        encoder_of(model).compile(dynamic=False)


def encoder_of(model: nn.Module) -> nn.Module:
    """The part that reads images, in which most of the time is spent; the whole model where it has no such name."""
    names = {name for name, _ in model.named_modules()}
    return model.get_submodule(next((name for name in ENCODERS if name in names), ""))
