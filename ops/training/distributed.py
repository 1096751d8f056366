"""Distributed training: process group, data-parallel replica, synchronised batch norm and gathered rows.

Every process packs the same batches and takes whole images of each, so that matching has all rivals. Where a batch has
fewer images than there are processes, some are idle: they compute along on a borrowed image, which counts nowhere.
Gradients, the statistics of batch norms and the loss are those of one process with the whole batch; only stochastic
depth is random per process.
Shapes: B samples of a process's share of a batch, N samples of the batch, C channels, H x W pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """`torch.distributed`'s default group as one of its processes sees it; a process alone is a group of one."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes, logs and scores for all."""
        return self.rank == 0

    def is_idle(self, images: int) -> bool:
        """Whether this process has no share of a batch with so many images, and borrows one."""
        return self.rank >= images

    def barrier(self) -> None:
        """Wait until every process has reached this call."""
        if self.size > 1:
            distributed.barrier()

    def all_sum(self, value: Tensor) -> Tensor:
        """Sum of the values of all processes, on every process, without gradient."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def gathered(self, rows_BC: Tensor, place_of_B: Tensor, *, count: int, idle: bool = False) -> Tensor:
        """Rows (N, C) of all processes but idle ones, on every process; each gets the gradients of all.

        Args:
            rows_BC: of this process's share, whose size may differ from that of others.
            place_of_B: row of the whole batch that each is.
            count: N.
            idle: whether this process is.
        """
        if self.size == 1:
            return rows_BC
        mine_BC = rows_BC * 0 if idle else rows_BC  # parameters that lead to them have a gradient everywhere
        return all_reduce(rows_BC.new_zeros(count, rows_BC.shape[1]).index_copy(0, place_of_B, mine_BC))

    def replica(self, model: nn.Module) -> nn.Module:
        """Data-parallel replica to be called instead of `model`: gradients are averaged over the processes.

        Batch norms of `model` are replaced, in place, by ones over the samples of all processes.
        """
        if self.size == 1:
            return model
        for parent in [module for module in model.modules() if not isinstance(module, SyncedBatchNorm)]:
            for name, child in parent.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(parent, name, SyncedBatchNorm.of(child))
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    @contextmanager
    def exchange(self, replica: nn.Module, *, last: bool, idle: bool = False) -> Iterator[None]:
        """Around a pass: gradients are exchanged only after the `last` of those that are accumulated.

        The statistics of batch norms leave out what an idle process computes.
        """
        if not isinstance(replica, DistributedDataParallel):
            yield
            return
        for module in replica.modules():
            if isinstance(module, SyncedBatchNorm):
                module.share = float(not idle)
        with nullcontext() if last else replica.no_sync():
            yield


ALONE = ProcessGroup()


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the samples of all processes, on any device (torch's `SyncBatchNorm` needs a GPU).

    Sums are in float32, or in float64 where the samples are.
    """

    share: float = 1.0
    """Weight of this process's samples in the statistics: 0 where it is idle."""

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> "SyncedBatchNorm":
        """The same norm, sharing parameters and running statistics."""
        new = cls(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        new.weight, new.bias = norm.weight, norm.bias
        new.running_mean, new.running_var = norm.running_mean, norm.running_var
        new.num_batches_tracked = norm.num_batches_tracked
        return new.train(norm.training)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Normalise (B, C, H, W); in training by the mean and biased variance over all processes."""
        if not self.training:
            return super().forward(x_BCHW)
        x = x_BCHW.to(torch.promote_types(x_BCHW.dtype, torch.float32))
        count = all_reduce(x.new_tensor(self.share * x[:, 0].numel()))
        mean_C = all_reduce(self.share * x.sum((0, 2, 3))) / count
        centred = x - mean_C[:, None, None]
        variance_C = all_reduce(self.share * centred.square().sum((0, 2, 3))) / count
        self._track(mean_C.detach(), variance_C.detach() * count / (count - 1))
        scale_C = self.weight * torch.rsqrt(variance_C + self.eps)
        return (centred * scale_C[:, None, None] + self.bias[:, None, None]).to(x_BCHW.dtype)

    @torch.no_grad()
    def _track(self, mean_C: Tensor, variance_C: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean_C, self.momentum)
        self.running_var.lerp_(variance_C, self.momentum)
        self.num_batches_tracked += 1
