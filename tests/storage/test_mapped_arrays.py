"""Arrays that are read by memory map."""

import pickle
from pathlib import Path

import numpy as np

from storage.mapped_arrays import MappedArray


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
