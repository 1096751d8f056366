"""Rows of the tables of TRIS."""

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from assets.framework.tables import Column, Height, RleBytes, Table, Width, WithMask
from storage.masks import Rle


@dataclass(frozen=True, kw_only=True)
class ResponseIndexRow:
    """Where the response map of one expression lies in the array."""

    row: Annotated[int, Column(pa.int64(), "row of the array")]
    sent_id: Annotated[int, Column(pa.int64(), "expression")]
    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    image_id: Annotated[str, Column(pa.string(), "image")]
    split: Annotated[str, Column(pa.string(), "split")]


@dataclass(frozen=True, kw_only=True)
class SelectedRow(WithMask):
    """The response map that PRMS selected for one referent."""

    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    sent_id: Annotated[int, Column(pa.int64(), "expression whose map was selected")]
    agreement: Annotated[
        list[float],
        Column(pa.list_(pa.float64()), "each map's summed cosine with all expressions, or 0 without a choice"),
    ]
    rle: Annotated[bytes, Column(pa.binary(), "where the selected map is positive, COCO run-length encoding")]
    height: Height
    width: Width


@dataclass(frozen=True, kw_only=True)
class SeedRow:
    """What IRNet learns from, of one referent; what is neither foreground nor ignored is background."""

    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    image_id: Annotated[str, Column(pa.string(), "image")]
    foreground: Annotated[bytes, Column(pa.binary(), "pixels that start as the object, COCO run-length encoding")]
    ignored: Annotated[bytes, Column(pa.binary(), "pixels that teach nothing")]
    height: Height
    width: Width

    @property
    def foreground_mask(self) -> Rle:
        """At the image's size."""
        return Rle(self.foreground, self.height, self.width)

    @property
    def ignored_mask(self) -> Rle:
        """At the image's size."""
        return Rle(self.ignored, self.height, self.width)


@dataclass(frozen=True, kw_only=True)
class RefinedRow(WithMask):
    """The pseudo-label of one referent."""

    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    rle: Annotated[
        bytes, Column(pa.binary(), "pseudo-label, COCO run-length encoding; empty where there is no response")
    ]
    height: Height
    width: Width


@dataclass(frozen=True, kw_only=True)
class LocatedRow(WithMask):
    """Step 2's mask and point for one expression."""

    sent_id: Annotated[int, Column(pa.int64(), "expression")]
    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    row: Annotated[int, Column(pa.int32(), "of the largest logit at the image's own size")]
    column: Annotated[int, Column(pa.int32(), "of the largest logit")]
    rle: RleBytes
    height: Height
    width: Width


@dataclass(frozen=True, kw_only=True)
class IrnetStepRow:
    """One optimizer step of IRNet."""

    step: Annotated[int, Column(pa.int64(), "optimizer step")]
    loss: Annotated[float, Column(pa.float64(), "IRNet's loss of the step's samples")]


RESPONSE_INDEX = Table("index", ResponseIndexRow)
SELECTED = Table("selected", SelectedRow)
SEEDS = Table("seeds", SeedRow)
REFINED = Table("labels", RefinedRow)
LOCATED = Table("masks", LocatedRow)
IRNET_HISTORY = Table("history", IrnetStepRow)
