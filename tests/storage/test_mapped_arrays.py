"""Arrays that are read by memory map."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from storage.files import StoreError
from storage.mapped_arrays import MappedArray, new_rows


def test_rows_come_as_copies_in_the_order_asked_for(tmp_path: Path) -> None:
    whole = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    np.save(tmp_path / "rows.npy", whole)
    rows = MappedArray(tmp_path / "rows.npy")
    assert len(rows) == 4
    assert rows.shape == (4, 3, 2)
    found = rows[[3, 0]]
    np.testing.assert_array_equal(found, whole[[3, 0]])
    found[:] = 0
    np.testing.assert_array_equal(rows[[3]], whole[[3]])


def test_it_is_pickled_by_its_path(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.ones((1000, 10)))
    content = pickle.dumps(MappedArray(tmp_path / "rows.npy"))
    assert len(content) < 500
    np.testing.assert_array_equal(pickle.loads(content)[[999]], np.ones((1, 10)))


def test_rows_that_are_appended_give_the_file_that_numpy_saves(tmp_path: Path) -> None:
    whole = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    with new_rows(tmp_path / "rows.npy", shape=(4, 3, 2), dtype=np.uint8) as append:
        for row in whole[:, ::-1][:, ::-1]:
            append(row)
    np.save(tmp_path / "saved.npy", whole)
    assert (tmp_path / "rows.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", None])
def test_a_file_that_is_missing_or_cut_off_is_told_of(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, np.ones((1000, 10)))
    path.write_bytes(path.read_bytes()[:500] if damage is None else damage)
    with pytest.raises(StoreError, match=r"rows.npy is missing or damaged .* and run again"):
        MappedArray(path)
