"""Data sets that others made, reduced to expressions, ground-truth masks and quarantined rows.

`open_dataset` is the way in; one module per layout knows what lies on disk. What decodes images is imported when a data
set is opened, so that a plan of stages is quick to make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.refusal import Refused
from resources.datasets.records import (
    Corpus,
    DatasetConfig,
    Expression,
    GroundTruth,
    ImageChangedError,
    Limits,
    QuarantinedRow,
    in_split,
)

if TYPE_CHECKING:
    from resources.datasets.reading import Dataset, Layout


def open_dataset(config: DatasetConfig) -> Dataset:
    """The data set that a configuration names. Nothing is read yet.

    Raises:
        Refused: The kind is unknown.
    """
    from resources.datasets import folder, refer, referit
    from resources.datasets.reading import Dataset

    layouts: dict[str, Layout] = {
        "refer": refer.LAYOUT,
        "toyref": refer.LAYOUT,
        "referit": referit.LAYOUT,
        "folder": folder.LAYOUT,
    }
    if config.kind not in layouts:
        raise Refused(f"unknown kind of data set {config.kind!r}; choose one of {', '.join(layouts)}")
    return Dataset(config, layouts[config.kind])


__all__ = [
    "Corpus",
    "DatasetConfig",
    "Expression",
    "GroundTruth",
    "ImageChangedError",
    "Limits",
    "QuarantinedRow",
    "in_split",
    "open_dataset",
]
