"""An import's tables: written once as Parquet, read back as typed rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ops.refusal import Refused
from resources.datasets.table_rows import shown
from resources.teachers.fitting import Fitted
from resources.teachers.imports import Import, importing, point_at
from resources.teachers.records import Purpose, TeacherMask, Unusable
from storage.digest import DIGEST_LENGTH, canonical
from storage.files import StoreError
from storage.masks import RLE_COLUMNS, Rle
from storage.tables import column, read_table, write_table

MASKS = pa.schema(
    [
        column("image_id", pa.string(), "image"),
        column("ref_id", pa.int64(), "referent; null for a candidate", nullable=True),
        column("sent_id", pa.int64(), "sentence; null for a candidate", nullable=True),
        column("expression", pa.string(), "the sentence's text; empty for a candidate"),
        column("label", pa.string(), "class; empty where the teacher names none"),
        column("score", pa.float64(), "from 0 to 1; null where the teacher gives none", nullable=True),
        *RLE_COLUMNS,
    ]
)
LEFT_OUT = pa.schema(
    [
        column("place", pa.string(), "where in the teacher's file"),
        column("item", pa.string(), "image and expression, as far as the row says"),
        column("reason", pa.string(), "why it was left out"),
    ]
)
LONGEST_REASON = 1_000


def keep(dataset: str, name: str, purpose: Purpose, fitted: Fitted, *, source: str) -> Import:
    """Write what fits and what does not, and make it the import of this name.

    Raises:
        Refused: nothing fits; an import of that name that is there already stays.
        StoreError: the disk refuses; likewise.
    """
    reasons = Counter(_kind(row.reason) for row in fitted.unusable)
    if not fitted.masks:
        told = "; ".join(f"{row.place}: {row.reason}" for row in fitted.unusable[:3]) or "it holds no mask at all"
        raise Refused(f"no mask of {source} fits the data set {dataset} ({told}); nothing was imported")
    new = Import(
        dataset=dataset,
        name=name,
        purpose=purpose,
        fingerprint=_digest(purpose, fitted.masks),
        source=source,
        masks=len(fitted.masks),
        images=len({one.image_id for one in fitted.masks}),
        left_out=len(fitted.unusable),
        reasons=dict(reasons.most_common()),
    )
    with importing(dataset):
        write_table(new.left_out_table, pa.Table.from_pylist([_plain(row) for row in fitted.unusable], LEFT_OUT))
        write_table(new.table, pa.Table.from_pylist([_columns(one) for one in fitted.masks], MASKS))
        point_at(new)
    return new


def kept_masks(one: Import) -> list[TeacherMask]:
    """All masks of an import.

    Raises:
        Refused: they are gone or damaged; says to import them again.
    """
    try:
        rows = read_table(one.table, columns=MASKS.names).to_pylist()
    except StoreError as problem:
        raise Refused(
            f"the masks of {one.name} are missing or damaged ({problem}); import {one.source} again"
        ) from problem
    masks = [_read(row) for row in rows]
    if _digest(one.purpose, masks) != one.fingerprint:
        raise Refused(f"{one.table} is not what was imported as {one.name}; import {one.source} again")
    return masks


def _columns(one: TeacherMask) -> dict[str, object]:
    fields = {name: getattr(one, name) for name in MASKS.names if hasattr(one, name)}
    return {**fields, **one.mask.columns()}


def _read(row: dict[str, Any]) -> TeacherMask:
    mask = Rle(row.pop("rle"), row.pop("height"), row.pop("width"))
    return TeacherMask(**row, mask=mask)


def _plain(row: Unusable) -> dict[str, str]:
    fields = {"place": row.place, "item": row.item, "reason": row.reason}
    return {name: shown(text, at_most=LONGEST_REASON) for name, text in fields.items()}


def _digest(purpose: Purpose, masks: Sequence[TeacherMask]) -> str:
    """Of every mask in its order, and of what they are for."""
    total = hashlib.sha256(purpose.encode())
    for one in masks:
        row = [one.image_id, one.ref_id, one.sent_id, one.expression, one.label, one.score]
        total.update(canonical([*row, one.mask.height, one.mask.width]).encode())
        total.update(one.mask.counts)
    return total.hexdigest()[:DIGEST_LENGTH]


def _kind(reason: str) -> str:
    """What reasons have in common, for a count: the words before what only one row says."""
    return reason.split(":")[0].split(" is ")[0].split(";")[0][:60]
