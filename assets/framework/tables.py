"""Typed tables: a frozen dataclass is a row, its annotations are the columns, and one `Table` reads and writes it.

    @dataclass(frozen=True, kw_only=True)
    class NounRow:
        expression: Annotated[str, Column(pa.string(), "expression")]
        nouns: Annotated[list[str], Column(pa.list_(pa.string()), "extracted nouns, in order")]

    NOUNS = Table("nouns", NounRow)

A column whose annotation admits None is nullable. `Rle` columns are flat (`rle`, `height`, `width`): `WithMask` and
`WithOptionalMask` give them as one mask.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from types import NoneType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa

from storage.artifact import Artifact, Slot
from storage.masks import Rle
from storage.tables import column, read_table, write_table

R = TypeVar("R")


@dataclass(frozen=True)
class Column:
    """How a field of a row is stored, and a sentence about it (units, range)."""

    kind: pa.DataType
    description: str


RleBytes = Annotated[bytes, Column(pa.binary(), "mask, COCO run-length encoding")]
Height = Annotated[int, Column(pa.int32(), "of the image, pixels")]
Width = Annotated[int, Column(pa.int32(), "of the image, pixels")]


class WithMask:
    """A row with the columns of one mask."""

    rle: bytes
    height: int
    width: int

    @property
    def mask(self) -> Rle:
        """At the image's size."""
        return Rle(self.rle, self.height, self.width)


class WithOptionalMask:
    """A row whose mask may be missing."""

    rle: bytes | None
    height: int
    width: int

    @property
    def mask(self) -> Rle | None:
        """At the image's size; None: there is none."""
        return None if self.rle is None else Rle(self.rle, self.height, self.width)


@dataclass(frozen=True)
class Table(Generic[R]):
    """A table of an artifact: its name and the type of its rows."""

    name: str
    row: type[R]

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns in the order of the row's fields."""
        hints = get_type_hints(self.row, include_extras=True)
        return pa.schema([_field(field.name, hints[field.name]) for field in fields(self.row)])  # type: ignore[arg-type]

    def read(self, artifact: Artifact) -> list[R]:
        """All rows of an artifact's table; `StoreError` where it is absent or damaged."""
        return self._rows(artifact.table(self.name, columns=self.schema.names))

    def read_slot(self, slot: Slot) -> list[R]:
        """All rows of a table that lies finished in a slot."""
        return self._rows(read_table(slot.content / f"{self.name}.parquet", columns=self.schema.names))

    def write(self, slot: Slot, rows: Iterable[R]) -> None:
        """Write the whole table into a slot."""
        table = pa.Table.from_pylist([self.columns(row) for row in rows], schema=self.schema)
        write_table(slot.content / f"{self.name}.parquet", table)

    def columns(self, row: R) -> dict[str, Any]:
        """Column name -> value."""
        return {name: getattr(row, name) for name in self.schema.names}

    def _rows(self, table: pa.Table) -> list[R]:
        return [self.row(**values) for values in table.select(self.schema.names).to_pylist()]


def _field(name: str, hint: Any) -> pa.Field:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"the field {name} does not say how it is stored; annotate it with a Column")
    kind, stored = get_args(hint)
    return column(name, stored.kind, stored.description, nullable=NoneType in get_args(kind))
