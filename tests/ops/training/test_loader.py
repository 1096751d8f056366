"""Worker processes: they load what the process itself would load, from data that is pickled by its path, and end."""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from ops.training.dataset import ReferentDataset, collate
from ops.training.loader import load_batches
from ops.training.sampler import PackedImageSampler, TrainingSampler
from storage.mapped_arrays import MappedArray
from storage.packed_masks import PackedMasks, write_packed_masks
from tests.ops.training.data import some_data


def data_in_files(folder: Path) -> ReferentDataset:
    data = some_data()
    assert data.masks is not None
    np.save(folder / "images.npy", np.asarray(data.images_N3HW))
    counts = write_packed_masks(folder / "masks.bits", [np.asarray(stack) for stack in data.masks])
    masks = PackedMasks(folder / "masks.bits", counts, height=48, width=48)
    return ReferentDataset(MappedArray(folder / "images.npy"), masks, data.referents)


def test_workers_give_the_batches_that_the_process_itself_would(tmp_path: Path) -> None:
    parts = list(TrainingSampler(PackedImageSampler(some_data(), size=4, seed=0), epochs=2, first=1))
    random = torch.random.get_rng_state()
    alone = list(load_batches(some_data(), parts, collate))
    loaded = list(load_batches(data_in_files(tmp_path), parts, collate, workers=2))
    assert torch.equal(torch.random.get_rng_state(), random)
    assert len(loaded) == len(alone) == len(parts) == 7
    for ours, theirs in zip(loaded, alone, strict=True):
        assert (ours.samples, ours.candidates, ours.masks_of_I) == (
            theirs.samples,
            theirs.candidates,
            theirs.masks_of_I,
        )
        for name in ("images_I3HW", "image_of_B", "referent_of_B", "token_ids_BT", "token_mask_BT", "masks_MHW"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


class Pids(Dataset[int]):
    """Tells which process loads."""

    def __getitem__(self, _: int) -> int:
        return os.getpid()


def train_for_ever(pipe: Connection) -> None:
    batches = load_batches(Pids(), ([0] for _ in iter(int, 1)), list, workers=2)
    pipe.send({pid for _ in range(20) for pid in next(batches)})
    time.sleep(600)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_end_when_their_training_is_killed() -> None:
    ours, theirs = multiprocessing.Pipe()
    training = multiprocessing.get_context("forkserver").Process(target=train_for_ever, args=(theirs,))
    training.start()
    workers = ours.recv()
    assert len(workers) == 2
    assert training.pid not in workers
    training.kill()
    training.join()
    deadline = time.monotonic() + 30
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "workers go on without their training"
        time.sleep(0.05)
