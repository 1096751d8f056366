"""Rows of the tables of trained segmenters."""

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from assets.framework.tables import Column, Height, Table, Width, WithMask
from storage.masks import Rle


@dataclass(frozen=True, kw_only=True)
class PredictionRow(WithMask):
    """The mask of one expression."""

    sent_id: Annotated[int, Column(pa.int64(), "expression")]
    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    rle_model: Annotated[bytes, Column(pa.binary(), "mask at the model's square size, COCO run-length encoding")]
    model_size: Annotated[int, Column(pa.int32(), "side of that square, pixels")]
    rle: Annotated[bytes, Column(pa.binary(), "mask at the image's own size")]
    height: Height
    width: Width

    @property
    def model_mask(self) -> Rle:
        """At the model's size."""
        return Rle(self.rle_model, self.model_size, self.model_size)


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """One optimizer step of a training."""

    step: Annotated[int, Column(pa.int64(), "optimizer step")]
    loss: Annotated[float, Column(pa.float64(), "mean loss of the step's samples")]
    lr: Annotated[float, Column(pa.float64(), "learning rate of the step, for what is new")]


PREDICTIONS = Table("masks", PredictionRow)
HISTORY = Table("history", HistoryRow)
