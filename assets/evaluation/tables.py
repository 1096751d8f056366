"""Rows of the tables of scores; each says what counts once, at which size, and how empty masks count."""

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from assets.framework.tables import Column, Table
from storage.tables import column

Resolution = Annotated[str, Column(pa.string(), "`original`, or the side of the model's square in pixels")]
Split = Annotated[str, Column(pa.string(), "split")]


@dataclass(frozen=True, kw_only=True)
class PairRow:
    """One mask against the ground truth."""

    ref_id: Annotated[int, Column(pa.int64(), "referent")]
    sent_id: Annotated[int, Column(pa.int64(), "expression")]
    split: Split
    method: Annotated[str, Column(pa.string(), "whose mask is compared with the ground truth")]
    resolution: Resolution
    intersection: Annotated[int, Column(pa.int64(), "pixels in both masks")]
    union: Annotated[int, Column(pa.int64(), "pixels in either mask")]
    has_candidate: Annotated[bool, Column(pa.bool_(), "whether there was any candidate mask")] = True


@dataclass(frozen=True, kw_only=True)
class TextRow:
    """How the text stages did on a split."""

    split: Split
    expressions_with_class_word: Annotated[int, Column(pa.int64(), "expressions that hold a word for the true class")]
    noun_hit_rate: Annotated[float | None, Column(pa.float64(), "share of them with such a word among the nouns")]
    projection_accuracy: Annotated[
        float | None, Column(pa.float64(), "share of referents with the true class in the query")
    ]
    candidates_per_object: Annotated[float, Column(pa.float64(), "mean number of candidate masks")]


@dataclass(frozen=True, kw_only=True)
class PixelCountRow:
    """The pixels of one image, counted by the probability that a model gives them."""

    split: Split
    resolution: Resolution
    expressions: Annotated[int, Column(pa.int64(), "expressions of the image")]
    background: Annotated[
        list[int],
        Column(pa.list_(pa.int64()), "pixels outside of the ground-truth masks, per probability 0, 0.001 ... 1"),
    ]
    foreground: Annotated[list[int], Column(pa.list_(pa.int64()), "pixels inside of them")]


@dataclass(frozen=True, kw_only=True)
class CurveRow:
    """Precision and recall above one threshold; thresholds fall."""

    split: Split
    resolution: Resolution
    precision: Annotated[
        float, Column(pa.float64(), "share of the pixels above a threshold that are inside of the ground-truth mask")
    ]
    recall: Annotated[float, Column(pa.float64(), "share of the ground-truth masks' pixels above it; thresholds fall")]


@dataclass(frozen=True, kw_only=True)
class AreaRow:
    """The area below a curve."""

    split: Split
    method: Annotated[str, Column(pa.string(), "whose probabilities")]
    resolution: Resolution
    expressions: Annotated[int, Column(pa.int64(), "how many were counted")]
    AUC_PR: Annotated[float, Column(pa.float64(), "sum over thresholds of the gain in recall times the precision")]


PAIRS = Table("pairs", PairRow)
TEXT = Table("text", TextRow)
PIXEL_COUNTS = Table("counts", PixelCountRow)
CURVE = Table("curve", CurveRow)
AREAS = Table("areas", AreaRow)
SUMMARY = pa.schema(
    [
        column("split", pa.string(), "split"),
        column("method", pa.string(), "whose masks"),
        column("per", pa.string(), "what counts once: expression or object"),
        column("resolution", pa.string(), "`original`, or the side of the model's square in pixels"),
        column("rows", pa.int64(), "how many were counted"),
        column("oIoU", pa.float64(), "summed intersection over summed union"),
        column("mIoU", pa.float64(), "mean IoU"),
        *(column(f"P@0.{digit}", pa.float64(), f"share with IoU >= 0.{digit}") for digit in range(5, 10)),
        column("rule", pa.string(), "how empty masks are counted"),
    ]
)
"""Of the table `summary`. Its rows are dicts: tables on pages and terminals name its columns as people write them."""
SLICES = pa.schema(
    [
        column("by", pa.string(), "what expressions are sliced by, see `assets.evaluation.slices`"),
        column("slice", pa.string(), "those that are counted"),
        *SUMMARY,
    ]
)
"""Of the table `slices`."""
