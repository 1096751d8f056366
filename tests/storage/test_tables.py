from pathlib import Path

import pyarrow as pa
import pytest

from storage.files import StoreError
from storage.tables import column, description, read_schema, read_table, write_chunks, write_table

SCHEMA = pa.schema([column("number", pa.int64(), "a number"), column("word", pa.string(), "a word", nullable=True)])


def table(count: int) -> pa.Table:
    return pa.table({"number": range(count), "word": [None if n % 3 else f"w{n}" for n in range(count)]}, schema=SCHEMA)


def test_a_table_comes_back_with_its_descriptions(tmp_path: Path) -> None:
    path = tmp_path / "deep/folder/t.parquet"
    write_table(path, table(10))
    assert read_table(path).equals(table(10))
    assert read_table(path, columns=["word"]).column_names == ["word"]
    assert [description(field) for field in read_schema(path)] == ["a number", "a word"]
    assert description(pa.field("plain", pa.int8())) == ""


def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path: Path) -> None:
    whole = table(5000)
    write_table(tmp_path / "whole", whole)
    for cut in (1, 7, 2048, 4999):
        chunks = (whole.slice(start, cut) for start in range(0, 5000, cut))
        assert write_chunks(tmp_path / "cut", chunks, schema=SCHEMA) == 5000
        assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_column_refuses_none_unless_it_is_nullable() -> None:
    assert not column("x", pa.int8(), "x").nullable
    assert column("x", pa.int8(), "x", nullable=True).nullable


def test_a_missing_or_damaged_table_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    for content in (None, b"", b"PAR1nonsense"):
        if content is not None:
            path.write_bytes(content)
        for read in (read_table, read_schema):
            with pytest.raises(StoreError, match=r"t.parquet is missing or damaged .* again with force"):
                read(path)


def test_a_broken_source_of_rows_leaves_no_file(tmp_path: Path) -> None:
    def rows() -> "object":
        yield table(3000)
        raise RuntimeError("broken down")

    with pytest.raises(RuntimeError, match="broken down"):
        write_chunks(tmp_path / "t.parquet", rows(), schema=SCHEMA)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
