"""Train Step 1 on batches that do not fit: gradient caching (TRIS spec 1.6).

All B texts are negatives and context of all B images, so a batch cannot be split into smaller ones whose gradients are
added. But the encoders know nothing of that: only their outputs, 0.8 MB a sample at full size, meet in the head and
loss. The encoders therefore run over chunks twice, once without a graph to get their outputs, and once with one to
receive the gradients of those outputs.

What is exact: the loss and every gradient equal, up to rounding, those of one pass in which the encoders run chunk by
chunk and everything behind them sees the whole batch. Where batch norms use fixed statistics (eval mode), chunks do not
matter and this is the plain loss of the whole batch. Where they use the statistics of what they see (training mode,
TRIS's own), every batch norm of CLIP's ResNet normalises over a chunk instead of the batch: the loss then differs from
that of the whole batch as it would with a smaller batch norm group on several devices, though its gradient is still
exact. Choose the largest chunk that fits. Running statistics are updated once per chunk.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ops.tris.response import ResponseModel


def cached_backward(
    model: ResponseModel,
    images_B3HW: Tensor,
    ids_BT: Tensor,
    loss: Callable[[Tensor], Tensor],
    *,
    chunk: int,
) -> Tensor:
    """Add the gradients of `loss` to the model's parameters, with at most `chunk` samples in the encoders at a time.

    Args:
        model: in the mode that training wants, with trainable encoders.
        images_B3HW: as for the model.
        ids_BT: one text for each image.
        loss: from responses (B, B, h, w) to a scalar.
        chunk: samples per pass of the encoders. Takes a third more time than a pass over the whole batch.

    Returns:
        The loss, detached.
    """
    with torch.no_grad(), _running_statistics_kept(model):
        maps_BDhw = torch.cat([model.encode_images(part) for part in images_B3HW.split(chunk)])
        sentences_BD = torch.cat([model.encode_texts(part) for part in ids_BT.split(chunk)])
    maps_BDhw.requires_grad_()
    sentences_BD.requires_grad_()
    value = loss(model.head(maps_BDhw, sentences_BD))
    value.backward()
    _backward_in_chunks(model.encode_images, images_B3HW, maps_BDhw, chunk)
    _backward_in_chunks(model.encode_texts, ids_BT, sentences_BD, chunk)
    return value.detach()


def _backward_in_chunks(encode: Callable[[Tensor], Tensor], inputs: Tensor, outputs: Tensor, chunk: int) -> None:
    """Encode the chunks again and hand each the gradient that its outputs received."""
    assert outputs.grad is not None
    for part, gradient in zip(inputs.split(chunk), outputs.grad.split(chunk), strict=True):
        torch.autograd.backward(encode(part), gradient)


@contextmanager
def _running_statistics_kept(model: nn.Module) -> Iterator[None]:
    """Batch norms in training mode use the batch's statistics but do not note them."""
    tracking = [one for one in model.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = not norm.training
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
