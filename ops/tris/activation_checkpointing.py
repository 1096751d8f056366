"""Train Step 1 on batches that do not fit: CLIP's blocks are computed again in the backward pass (TRIS spec 1.6).

All B texts are negatives and context of all B images, and every batch norm of CLIP's ResNet sees all B images, so a
batch cannot be split into smaller ones whose gradients are added. But what a block has to remember for its backward
pass can be had again from its input. Loss, gradients and running statistics are those of the plain pass.
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
    """Within, a forward pass keeps only what lies between blocks; its backward pass may come later.

    A block is the ResNet's stem, one of its bottlenecks, or a layer of the text tower. Takes a third more time.

    Args:
        clip: open_clip's, its picture tower a `ModifiedResNet`.
    """
    tower = clip.visual
    bottlenecks = [block for number in range(1, 5) for block in getattr(tower, f"layer{number}")]
    places = [(tower, "stem"), *((block, "forward") for block in (*bottlenecks, *clip.transformer.resblocks))]
    for owner, name in places:
        setattr(owner, name, _again(owner, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name in places:
            delattr(owner, name)  # the method of its class again


def _again(owner: nn.Module, method: Callable[..., Any]) -> Callable[..., Any]:
    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(owner)

    return partial(checkpoint, method, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """What batch norms note of the batch is as it was, afterwards: they have noted it already."""
    before = [(one, one.clone()) for one in module.buffers()]
    try:
        yield
    finally:
        for one, value in before:
            one.copy_(value)
