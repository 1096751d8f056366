"""Loading of batches, in worker processes if asked for.

Workers start by `forkserver`: they inherit no lock, no open file and no GPU of the process that trains. What they load
is what the process itself would load, for the order of batches is the sampler's.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset


def load_batches(
    dataset: Dataset[Any],
    parts: Iterable[list[Any]],
    collate: Callable[[list[Any]], Any],
    *,
    workers: int = 0,
    pinned: bool = False,
) -> Iterator[Any]:
    """The batch of every part, in order; nothing is started or loaded before the first one is asked for.

    Args:
        dataset: gives an item for each key of a part; picklable where there are workers, and small then.
        parts: what a batch sampler yields.
        collate: items of a part -> batch; picklable where there are workers.
        workers: processes that load ahead; with none, batches are loaded when they are asked for.
        pinned: put batches into pinned memory, for copies to a GPU that do not wait.
    """
    context = None
    if workers:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
    yield from DataLoader(
        dataset,
        batch_sampler=parts,
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context=context,
        worker_init_fn=_end_with_parent if workers else None,
        pin_memory=pinned,
        generator=torch.Generator(),  # else it would take a number from torch's own
    )


def _end_with_parent(_: int) -> None:
    """End this worker when the training is killed: torch checks the fork server, which lives while a worker does."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
