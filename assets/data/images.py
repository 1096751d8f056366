"""Images as stages read them: checked against the hash in `references`, one by one, with what fails quarantined.

Shapes: H x W pixels of an image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from assets.data.tables import ImageRow
from assets.framework.tables import Table
from assets.framework.work import Work
from ops.refusal import Refused
from resources.datasets import ImageChangedError
from resources.datasets.images import load_image
from resources.datasets.reading import Dataset
from resources.opening import digest_of
from storage.rows import Quarantined, Rows, Tally, Unit, fill_table

R = TypeVar("R")
T = TypeVar("T")
Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Mask = NDArray[np.bool_]
"""(H, W)."""


@dataclass(frozen=True, kw_only=True)
class ImageTask(Generic[T]):
    """Something to compute in one image."""

    image: ImageRow
    payload: T
    """What `compute` is handed beside the pixels."""
    key: str
    """Digest of everything that determines the rows: content, never a position or a path."""
    label: str = ""
    """What a person calls it, for the ledger; the image's id where none is given."""


def per_image(
    work: Work, table: Table[R], tasks: Sequence[ImageTask[T]], compute: Callable[[T, Pixels], Sequence[R]]
) -> Tally:
    """Fill a table image by image; resumes after a kill, copies rows of equal keys, quarantines what is refused.

    Args:
        work: the running stage; needs `references`.
        table: what is filled, in the order of the tasks.
        tasks: their keys differ.
        compute: (payload, pixels) -> rows, maybe none. A `Refused` that it raises quarantines the task with its reason;
            anything else ends the stage.

    Returns:
        How the tasks came about.
    """

    def rows(task: ImageTask[T]) -> Rows | Quarantined:
        found = on_image(work, task.image, lambda pixels: compute(task.payload, pixels))
        return found if isinstance(found, Quarantined) else [table.columns(row) for row in found]

    return fill_table(
        work.slot,
        table.name,
        [Unit(key=task.key, payload=task, label=task.label or task.image.image_id) for task in tasks],
        lambda batch: map(rows, batch),
        schema=table.schema,
        shard=work.runtime.shard,
        reuse=work.reuse,
        log=work.log,
    )


def on_image(work: Work, image: ImageRow, compute: Callable[[Pixels], T]) -> T | Quarantined:
    """What `compute` finds in an image, or what a model refuses in it."""
    pixels = read_image(work, image)
    try:
        return compute(pixels)
    except Refused as problem:
        return Quarantined(f"{image.image_file} ({image.width} x {image.height}): {problem}")


def read_image(work: Work, image: ImageRow) -> Pixels:
    """The pixels of an image, which are those that the stage `references` saw.

    Raises:
        ImageChangedError: they are not, or the file is gone: every stage would tell of other pixels.
    """
    return read_pixels(work.dataset, image)


def read_pixels(dataset: Dataset, image: ImageRow) -> Pixels:
    """The same out of a data set that is open."""
    try:
        path = dataset.image_path(image.image_file)
        if digest_of(path) == image.sha256:
            return load_image(path)
    except (OSError, Refused) as problem:
        raise ImageChangedError(image.image_file, f"cannot be read any more ({problem})") from problem
    raise ImageChangedError(image.image_file, "is another file now")
