"""Data sets that others made, reduced to expressions, ground-truth masks and quarantined rows.

`open_dataset` is the way in; one module per layout knows what lies on disk.
"""

from ops.refusal import Refused
from resources.datasets import folder, refer, referit
from resources.datasets.ground_truth import ground_truth_mask
from resources.datasets.images import ImageChangedError, ImageProblem, inspect_image, load_image, safe_path
from resources.datasets.reading import Dataset, Layout, check_images, expression_problem
from resources.datasets.records import (
    Corpus,
    DatasetConfig,
    Expression,
    GroundTruth,
    Limits,
    QuarantinedRow,
    in_split,
)

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
    "Expression",
    "GroundTruth",
    "ImageChangedError",
    "ImageProblem",
    "Limits",
    "QuarantinedRow",
    "check_images",
    "expression_problem",
    "ground_truth_mask",
    "in_split",
    "inspect_image",
    "load_image",
    "open_dataset",
    "safe_path",
]
