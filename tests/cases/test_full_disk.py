"""A disk that is too small for a training's samples ends the stage in words, and the next run goes on."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from assets.framework.stage import StageInstance
from assets.framework.work import Work
from assets.segmenters.label_sources import chosen_masks
from assets.segmenters.training_set import training_set
from ops.training.distributed import ALONE
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from storage.artifact import Store, StoreError
from storage.files import growing_file
from storage.mapped_arrays import MappedArray, new_rows
from storage.packed_masks import write_packed_masks
from tests.disks import longest_file, small_disk
from tests.homes import TRY, copy_home

ROW = np.zeros((3, 64, 64), np.uint8)


class Words:
    """A tokenizer that knows one word."""

    def encode(self, expressions: Sequence[str], /) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(len(expressions), 1, dtype=torch.int64), torch.ones(len(expressions), 1, dtype=torch.int64)

    def card(self) -> dict[str, object]:
        return {}


@contextmanager
def too_small(folder: Path, kind: str) -> Iterator[None]:
    with small_disk(folder, kilobytes=64) if kind == "disk" else longest_file(64 * 1024):
        yield


REASONS = {"disk": "No space left on device. The disk is full", "ulimit": "File too large. .* size limit"}


@pytest.mark.parametrize("kind", REASONS)
def test_room_for_all_rows_is_taken_before_the_first_one_is_computed(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    with too_small(folder, kind):
        with (
            pytest.raises(StoreError, match=rf"Cannot write .*rows.npy: {REASONS[kind]}"),
            new_rows(folder / "rows.npy", shape=(40, *ROW.shape), dtype=np.uint8),
        ):
            pytest.fail("there is no room")
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", REASONS)
def test_masks_that_find_no_room_leave_no_file(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    stack = np.ones((4, 320, 320), bool)
    with too_small(folder, kind):
        with pytest.raises(StoreError, match=rf"Cannot write .*masks.bits: {REASONS[kind]}"):
            write_packed_masks(folder / "masks.bits", [stack] * 3)
        assert list(folder.iterdir()) == []


def test_a_disk_that_cannot_take_room_ahead_is_found_full_by_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("storage.files.os.posix_fallocate", unsupported)

    def fill() -> None:
        with new_rows(tmp_path / "rows.npy", shape=(40, *ROW.shape), dtype=np.uint8) as append:
            for _ in range(40):
                append(ROW)

    with longest_file(64 * 1024), pytest.raises(StoreError, match="File too large"):
        fill()
    assert not (tmp_path / "rows.npy").exists()


def test_what_goes_wrong_between_two_pieces_is_no_matter_of_the_disk(tmp_path: Path) -> None:
    def fill() -> None:
        with growing_file(tmp_path / "file") as append:
            append(b"begun")
            raise OSError(errno.EIO, "the network is gone")

    with pytest.raises(OSError, match="network"):
        fill()
    assert not (tmp_path / "file").exists()


def bootstrap() -> StageInstance:
    return next(one for one in load_plan() if one.dataset == "little" and one.stage.name == "zs_bootstrap")


def test_a_training_without_room_for_its_samples_goes_on_where_there_is_some(
    chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(copy_home(chosen, tmp_path / "home", experiments={"try": TRY})))
    store, instance = Store(tmp_path / "home" / "store"), bootstrap()
    inputs = {name: store.resolve(key) for name, key in instance.inputs.items()}
    with store.claim("zs_bootstrap", "f1", recipe={}) as slot:
        work = Work(instance=instance, inputs=inputs, slot=slot, reuse=[], runtime=Runtime(), log=print)
        with longest_file(64 * 1024), pytest.raises(StoreError, match=r"Cannot write .*images.npy: File too large"):
            training_set(work, chosen_masks(work), size=96, tokenizer=Words(), group=ALONE)
        assert len(training_set(work, chosen_masks(work), size=96, tokenizer=Words(), group=ALONE).dataset) > 0
        images = slot.scratch / "samples" / "images.npy"
        assert MappedArray(images).shape[1:] == (3, 96, 96)
