"""Typed tables: a frozen dataclass is a row, its annotations are the columns, and one `Table` reads and writes it.

    @dataclass(frozen=True, kw_only=True)
    class NounRow:
        expression: Annotated[str, Column(pa.string(), "expression")]
        nouns: Annotated[list[str], Column(pa.list_(pa.string()), "extracted nouns, in order")]

    NOUNS = Table("nouns", NounRow)

A column whose annotation admits None is nullable. `Rle` columns are flat (`rle`, `height`, `width`): `WithMask` and
`WithOptionalMask` give them as one mask.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import islice
from types import NoneType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc

from storage.artifact import Artifact, Slot
from storage.masks import Rle
from storage.tables import ROW_GROUP, column, read_batches, write_chunks

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
        return list(self.rows(artifact))

    def rows(
        self, artifact: Artifact, *, column: str = "", among: Collection[int] | Collection[str] | None = None
    ) -> Iterator[R]:
        """The same rows one after the other; only those with one of some values in a column, if any are given."""
        batches = artifact.batches(self.name, columns=self.schema.names)
        if among is None:
            return self._each(batches)
        wanted = pa.array(list(set(among)), self.schema.field(column).type)
        return self._each(batch.filter(pc.is_in(batch[column], wanted)) for batch in batches)

    def read_slot(self, slot: Slot) -> list[R]:
        """All rows of a table that lies finished in a slot."""
        return list(self.slot_rows(slot))

    def slot_rows(self, slot: Slot) -> Iterator[R]:
        """The same rows one after the other."""
        return self._each(read_batches(slot.content / f"{self.name}.parquet", columns=self.schema.names))

    def write(self, slot: Slot, rows: Iterable[R]) -> int:
        """Write the whole table into a slot as its rows come; how many they were."""
        return write_chunks(slot.content / f"{self.name}.parquet", self._chunks(iter(rows)), schema=self.schema)

    def columns(self, row: R) -> dict[str, Any]:
        """Column name -> value."""
        return {name: getattr(row, name) for name in self.schema.names}

    def _chunks(self, rows: Iterator[R]) -> Iterator[pa.Table]:
        while some := list(islice(rows, ROW_GROUP)):
            columns = [[getattr(row, name) for row in some] for name in self.schema.names]
            yield pa.Table.from_pydict(dict(zip(self.schema.names, columns, strict=True)), schema=self.schema)

    def _each(self, batches: Iterable[pa.RecordBatch]) -> Iterator[R]:
        names = self.schema.names
        for batch in batches:
            for values in zip(*(_values(batch[name]) for name in names), strict=True):
                yield self.row(**dict(zip(names, values, strict=True)))


def _values(column: pa.Array) -> list[Any]:
    """As Python objects, where equal texts of a batch are one object."""
    if not pa.types.is_string(column.type):
        return column.to_pylist()
    coded = column.dictionary_encode()
    words = coded.dictionary.to_pylist()
    return [None if place is None else words[place] for place in coded.indices.to_pylist()]


def _field(name: str, hint: Any) -> pa.Field:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"the field {name} does not say how it is stored; annotate it with a Column")
    kind, stored = get_args(hint)
    return column(name, stored.kind, stored.description, nullable=NoneType in get_args(kind))
