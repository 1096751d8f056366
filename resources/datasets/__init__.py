"""Data sets that others made, reduced to references, true objects and quarantined rows.

`open_dataset` is the way in; one module per layout knows what lies on disk.
"""

from ops.refusal import Refused
from resources.datasets import folder, refer, referit
from resources.datasets.images import ImageChangedError, ImageProblem, inspect_image, load_image, safe_path
from resources.datasets.reading import Dataset, Layout, check_images, expression_problem
from resources.datasets.records import (
    Corpus,
    DatasetConfig,
    Limits,
    QuarantinedRow,
    Reference,
    TrueObject,
    in_split,
)
from resources.datasets.truth import true_mask

LAYOUTS: dict[str, Layout] = {
    "refer": refer.LAYOUT,
    "toyref": refer.LAYOUT,
    "referit": referit.LAYOUT,
    "folder": folder.LAYOUT,
}
"""Kind of data set -> how it is read."""


def open_dataset(config: DatasetConfig) -> Dataset:
    """The data set that a configuration names. Nothing is read yet.

    Raises:
        Refused: The kind is unknown.
    """
    if config.kind not in LAYOUTS:
        raise Refused(f"unknown kind of data set {config.kind!r}; choose one of {', '.join(LAYOUTS)}")
    return Dataset(config, LAYOUTS[config.kind])


__all__ = [
    "LAYOUTS",
    "Corpus",
    "Dataset",
    "DatasetConfig",
    "ImageChangedError",
    "ImageProblem",
    "Limits",
    "QuarantinedRow",
    "Reference",
    "TrueObject",
    "check_images",
    "expression_problem",
    "in_split",
    "inspect_image",
    "load_image",
    "open_dataset",
    "safe_path",
    "true_mask",
]
