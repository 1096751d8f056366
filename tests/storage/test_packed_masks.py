"""Stacks of masks in one file."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from storage.packed_masks import PackedMasks, packed_size, write_packed_masks


@pytest.mark.parametrize("counts", [[2, 0, 3], [0, 0], [], [1]])
@pytest.mark.parametrize(("height", "width"), [(3, 5), (8, 8), (1, 1)])
def test_stacks_come_back_as_they_were(tmp_path: Path, counts: list[int], height: int, width: int) -> None:
    rng = np.random.default_rng(len(counts) + height)
    stacks = [rng.random((count, height, width)) < 0.5 for count in counts]
    path = tmp_path / "masks.bits"
    assert write_packed_masks(path, stacks) == counts
    assert path.stat().st_size == sum(counts) * packed_size(height, width)
    found = PackedMasks(path, counts, height=height, width=width)
    assert len(found) == len(stacks)
    for stack, original in zip(found, stacks, strict=True):
        assert stack.dtype == np.bool_
        np.testing.assert_array_equal(stack, original)


def test_stacks_are_pickled_by_their_path(tmp_path: Path) -> None:
    path = tmp_path / "masks.bits"
    stacks = [np.ones((300, 20, 20), bool), np.eye(20, dtype=bool)[None]]
    content = pickle.dumps(PackedMasks(path, write_packed_masks(path, stacks), height=20, width=20))
    assert len(content) < 500
    np.testing.assert_array_equal(pickle.loads(content)[1], stacks[1])


def test_numbers_beyond_the_last_are_refused_and_slices_work(tmp_path: Path) -> None:
    path = tmp_path / "masks.bits"
    counts = write_packed_masks(path, [np.ones((1, 2, 2), bool), np.zeros((2, 2, 2), bool)])
    found = PackedMasks(path, counts, height=2, width=2)
    assert found[-1].shape == (2, 2, 2)
    assert [len(stack) for stack in found[:5]] == [1, 2]
    with pytest.raises(IndexError):
        found[2]
