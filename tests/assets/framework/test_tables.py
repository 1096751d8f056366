"""Typed tables as they are read and written, some rows at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pytest

from assets.framework.tables import Column, Table
from storage.artifact import Artifact, Store
from storage.tables import ROW_GROUP, write_table


@dataclass(frozen=True, kw_only=True)
class WordRow:
    """A row of every kind of column that tables have."""

    number: Annotated[int, Column(pa.int64(), "unlike all others")]
    word: Annotated[str | None, Column(pa.string(), "one of few")]
    parts: Annotated[list[str], Column(pa.list_(pa.string()), "some")]
    blob: Annotated[bytes, Column(pa.binary(), "bytes")]


WORDS = Table("words", WordRow)
ROWS = [
    WordRow(
        number=number, word=None if number % 7 == 0 else f"word {number % 5}", parts=["a"] * (number % 3), blob=b"x"
    )
    for number in range(2 * ROW_GROUP + 3)
]


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    """One with the table, whose rows came from a generator."""
    store = Store(tmp_path)
    with store.claim("words", "f", recipe={}) as slot:
        assert WORDS.write(slot, (row for row in ROWS)) == len(ROWS)
        assert WORDS.read_slot(slot) == ROWS
        return slot.commit()


def test_rows_come_back_in_their_order_however_they_are_read(artifact: Artifact) -> None:
    assert WORDS.read(artifact) == list(WORDS.rows(artifact)) == ROWS


def test_the_bytes_are_those_of_a_table_that_was_written_whole(artifact: Artifact, tmp_path: Path) -> None:
    write_table(tmp_path / "whole", pa.Table.from_pylist([WORDS.columns(row) for row in ROWS], schema=WORDS.schema))
    assert artifact.file("words.parquet").read_bytes() == (tmp_path / "whole").read_bytes()


def test_only_rows_with_one_of_the_values_are_read_where_some_are_named(artifact: Artifact) -> None:
    assert list(WORDS.rows(artifact, column="number", among=[ROW_GROUP, 3, 3])) == [ROWS[3], ROWS[ROW_GROUP]]
    assert list(WORDS.rows(artifact, column="word", among=[])) == []
    assert {row.word for row in WORDS.rows(artifact, column="word", among=["word 1"])} == {"word 1"}
