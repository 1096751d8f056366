"""Activation checkpointing of CLIP's blocks, for batches of Step 1 that do not fit into memory (TRIS spec 1.6).

All B texts are negatives and context of all B images, and batch norms of CLIP's ResNet use statistics of all B images,
so gradients of smaller batches cannot be accumulated. Activations within a block are computed again in the backward
pass instead. Loss, gradients and running statistics are those of a plain forward and backward pass.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:  # ops need its attributes, not its import
    from open_clip import CLIP


@contextmanager
def checkpointed_blocks(clip: "CLIP") -> Iterator[None]:
    """Within this context a forward pass keeps only the inputs of blocks; its backward pass may come later.

    A block is the ResNet's stem, a bottleneck or a layer of the text tower. A step takes a third more time.

    Args:
        clip: open_clip's, its image tower a `ModifiedResNet`.
    """
    tower = clip.visual
    layers = [getattr(tower, f"layer{number}", ()) for number in range(1, 5)]  # none where another tower sees images
    stem = [(tower, "stem")] if hasattr(tower, "stem") else []
    blocks = (*(block for layer in layers for block in layer), *clip.transformer.resblocks)
    methods = [*stem, *((block, "forward") for block in blocks)]
    for owner, name in methods:
        setattr(owner, name, _checkpointed(owner, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name in methods:
            delattr(owner, name)  # back to the method of the class


def _checkpointed(owner: nn.Module, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method with activation checkpointing; the second forward pass leaves running statistics as they are."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _unchanged_buffers(owner)

    return partial(checkpoint, method, use_reentrant=False, context_fn=contexts)


@contextmanager
def _unchanged_buffers(module: nn.Module) -> Iterator[None]:
    """Restore a module's buffers: batch norms have updated their running statistics in the first forward pass."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
