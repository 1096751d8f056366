"""The machine: device, memory, threads. No recipe has it: results change by rounding, see `accumulate`."""

from typing import Literal

import dagster as dg

Precision = Literal["device", "float32"]
"""What the device is fastest in, or full precision."""


class Runtime(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Operational settings, shown once in the launchpad for all stages."""

    device: str = "auto"
    """`auto` takes CUDA where there is one."""
    shard: int = 16
    """Units (mostly images) committed together; a kill costs at most this many."""
    threads: int = 0
    """Torch threads of a step; 0 leaves torch's own choice."""
    checkpoint_every: int = 50
    """Optimiser steps between checkpoints."""
    accumulate: int = 1
    """Forward passes per optimiser step: the same batch in less memory. Batch norms then see a pass at a time. TRIS's
    Step 1, whose loss needs its batch whole, computes the blocks of its encoders twice instead."""
    processes: int = 1
    """Processes that share every batch of a training, on this machine: one for each GPU."""
    loader_workers: int = 4
    """Processes that load a training's batches ahead for each GPU; a training on a CPU loads its own."""
    quarantine_limit: float = 0.05
    """Share of quarantined units above which a stage's `quarantine` check fails; above a half it stops the run."""
    force: bool = False
    """Compute again although an equal artifact exists."""

    def torch_device(self) -> str:
        """The device name for torch, with `auto` resolved and the thread limit applied."""
        import torch

        if self.threads:
            torch.set_num_threads(self.threads)
        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    def workers(self) -> int:
        """Processes that load batches ahead on this device."""
        return self.loader_workers if self.torch_device().startswith("cuda") else 0

    def bf16(self, precision: Precision = "device") -> bool:
        """Whether to compute in bfloat16, in which recent CUDA cards and CPUs with instructions for it are faster."""
        import torch

        if precision == "float32":
            return False
        if self.torch_device().startswith("cuda"):
            return torch.cuda.is_bf16_supported()
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
