"""What every data set is reduced to: expressions, quarantined rows, ground truth; and what names a data set.

Here live frozen records only; how a layout is read belongs in the module of that layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import eq
from pathlib import Path
from typing import Any, Literal

Kind = Literal["refer", "referit", "folder", "toyref"]
READER_VERSION = 1
"""Part of every fingerprint: raise it when the same files are to be read differently."""
SPLIT_ORDER = ("train", "val", "test", "testA", "testB", "testC")


class ImageChangedError(RuntimeError):
    """An image changed while stages work on it; unlike a bad row it ends the stage, which can be taken up again."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(
            f"{name} {what}, since `references` read it: put it back as it was, or start a new run, which looks at all "
            "images anew; what is finished stays"
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Beyond these a row is quarantined instead of read."""

    max_words: int = 200
    """Words, separated by white space, in one expression."""
    max_characters: int = 2_000
    """Characters in one expression, for scripts that do not separate words."""
    max_pixels: int = 50_000_000
    """Width times height of one image, taken from its header before anything is decoded."""


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """Which data set to read and how."""

    kind: Kind
    """Layout on disk; `toyref` is the refer layout, its images rendered by this project."""
    root: Path
    """Folder of the set (for refer layouts the folder above `refcoco/`, `refcoco+/`, `images/`)."""
    name: str = "refcoco"
    """refer layouts: the sub-folder; referit: the prefix of the manifest files; folder: a label."""
    split_by: str = "unc"
    """refer layouts: which `refs(<split_by>).p`."""
    split_map: Mapping[str, str] = field(default_factory=dict)
    """Splits to rename, e.g. {"val": "train"} to exercise training on a set without a train split."""
    expect_published_counts: bool | None = None
    """Compare with the published counts: always, never, or (None) unless the set is plainly a subset."""
    manifest: str | None = None
    """folder layout: the expressions file relative to `root`; None looks for expressions.jsonl or expressions.csv."""
    image_identity: Literal["content", "stat"] = "content"
    """How images enter the fingerprint: hashed, or by size and modification time for very large sets."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """An expression with its image and its referent, in the order of the manifest."""

    ref_id: int
    """Number of the referent in its set (RefCOCO's `ref`); all expressions of one referent share it."""
    object_id: str
    """Identity of the annotated object: the annotation id, `<image>_<region>`, or what a user's manifest says."""
    image_id: str
    image_file: str
    """Path of the image relative to the data set's image folder."""
    width: int
    """Pixels, after EXIF orientation."""
    height: int
    """Pixels, after EXIF orientation."""
    split: str
    sent_id: int
    """Number of the expression in its set."""
    expression: str
    """The cleaned expression (`sent` in refer layouts)."""
    raw: str
    """The expression as it was typed."""


@dataclass(frozen=True, kw_only=True)
class QuarantinedRow:
    """A row that was left out, and why. One per lost expression, so kept plus quarantined add up to the manifest."""

    where: str
    """The manifest file, with a line number where there is one."""
    item: str
    """What was left out, e.g. `ref 12, sentence 34`."""
    reason: str
    ref_id: int | None = None
    """The referent it belonged to, when known."""
    split: str = ""
    """The split it belonged to, when known."""


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """The ground-truth mask of one referred object. For evaluation only."""

    object_id: str
    image_id: str
    category: str
    """Category name, or the empty string where the set names none."""
    segmentation: list[Any] | dict[str, Any]
    """COCO form: list of polygons, RLE, or list of RLE (see `ground_truth.ground_truth_mask`)."""
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All expressions of a data set that can be used, and all rows that can not."""

    expressions: tuple[Expression, ...]
    quarantined: tuple[QuarantinedRow, ...]
    splits: tuple[str, ...]
    """Names of the splits that have at least one expression: train, val, tests, then others by name."""
    in_split: Callable[[str, str], bool] = eq
    """The layout's rule: whether what a row says of its split belongs to a split."""

    def of(self, split: str) -> tuple[Expression, ...]:
        """The expressions of one split."""
        return tuple(row for row in self.expressions if self.in_split(row.split, split))


def in_split(field_value: str, wanted: str) -> bool:
    """Whether a referent whose `split` field is `field_value` belongs to the split `wanted` (spec 1.2).

    The refer layout's own rule; other layouts compare names.
    train and val match exactly; testA, testB, testC match when their letter occurs in the field; test matches as a
    part of the field; every other name matches exactly.
    """
    if wanted in ("testA", "testB", "testC"):
        return wanted[-1] in field_value
    if wanted == "test":
        return "test" in field_value
    return field_value == wanted


def split_names(values: set[str]) -> tuple[str, ...]:
    """Order split names: train, val, tests, then others by name."""
    known = [name for name in SPLIT_ORDER if name in values]
    return (*known, *sorted(values - set(SPLIT_ORDER)))
