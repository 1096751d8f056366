"""Two processes that compute together, for tests; light to import."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from torch import distributed

from ops.training.distributed import ProcessGroup
from tests.ports import free_port
from tests.processes import warm_processes


def in_two_processes(member: Callable[..., None], *arguments: Any) -> None:
    """Call `member` with rank, size and port in each of them; raises what one of them raised."""
    port = free_port()
    with ProcessPoolExecutor(2, mp_context=warm_processes()) as pool:
        for future in [pool.submit(member, rank, 2, port, *arguments) for rank in (0, 1)]:
            future.result()


def meet(rank: int, size: int, port: int) -> ProcessGroup:
    """The group, when all have come."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    return ProcessGroup(rank=rank, size=size)
