"""Images as stages read them: checked against the hash in `references`, read ahead, with what fails quarantined.

Shapes: H x W pixels of an image.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Generic, NoReturn, TypeVar

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
S = TypeVar("S")
T = TypeVar("T")
Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Mask = NDArray[np.bool_]
"""(H, W)."""
Found = Callable[[], Iterable[R]]
"""What gives the rows of a task, or raises why it has none."""
READERS = 2
"""Threads that read images ahead of a model."""


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
    work: Work,
    table: Table[R],
    tasks: Sequence[ImageTask[T]],
    compute: Callable[[T, Pixels], Iterable[R]],
    *,
    earlier: str = "",
) -> Tally:
    """Fill a table image by image; resumes after a kill, copies rows of equal keys, quarantines what is refused.

    Args:
        work: the running stage; needs `references`.
        table: what is filled, in the order of the tasks.
        tasks: their keys differ.
        compute: (payload, pixels) -> rows, maybe none. A `Refused` that it raises quarantines the task with its reason;
            anything else ends the stage.
        earlier: see `storage.rows.fill_table`.

    Returns:
        How the tasks came about.
    """

    def found(asked: Sequence[tuple[T, Pixels]]) -> list[Found[R]]:
        ((payload, pixels),) = asked
        rows = list(compute(payload, pixels))
        return [lambda: rows]

    return per_batch(work, table, tasks, found, size=1, earlier=earlier)


def per_batch(
    work: Work,
    table: Table[R],
    tasks: Sequence[ImageTask[T]],
    compute: Callable[[Sequence[tuple[T, Pixels]]], Sequence[Found[R]]],
    *,
    size: int,
    earlier: str = "",
) -> Tally:
    """The same with some images at once, while the next ones are read and the rows of the last ones are made.

    Args:
        work: as above.
        table: as above.
        tasks: as above.
        compute: (payload, pixels) of up to `size` tasks -> for each of them what gives its rows, called in a thread of
            its own while the next batch is computed. Both may raise `Refused`; tasks that are refused together are
            asked for one by one.
        size: tasks of a batch, in their order; halved where the device's memory does not hold them.
        earlier: as above.
    """
    if size > 1:
        from resources.models.batches import Batches  # brings torch, which stages that only read do without

        compute = Batches(compute, runtime=work.runtime, size=size)

    def rows(asked: Sequence[ImageTask[T]]) -> Iterator[Rows | Quarantined]:
        dataset = work.dataset

        def read(task: ImageTask[T]) -> tuple[ImageTask[T], Pixels]:
            return task, read_pixels(dataset, task.image)

        def computed(images: Iterator[tuple[ImageTask[T], Pixels]]) -> Iterator[tuple[ImageTask[T], Found[R]]]:
            while batch := list(islice(images, size)):
                found = _served(compute, [(task.payload, pixels) for task, pixels in batch])
                yield from zip([task for task, _ in batch], found, strict=True)

        def finish(done: tuple[ImageTask[T], Found[R]]) -> Rows | Quarantined:
            task, found = done
            try:
                return [table.columns(row) for row in found()]
            except Refused as problem:
                return _left_out(task.image, problem)

        with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(1) as encoder:
            images = ahead(readers, read, asked, at_most=size + 1)
            yield from ahead(encoder, finish, computed(images), at_most=size)

    return fill_table(
        work.slot,
        table.name,
        [Unit(key=task.key, payload=task, label=task.label or task.image.image_id) for task in tasks],
        rows,
        schema=table.schema,
        shard=work.runtime.shard,
        reuse=work.reuse,
        earlier=earlier,
        log=work.log,
    )


def _served(
    compute: Callable[[Sequence[tuple[T, Pixels]]], Sequence[Found[R]]], asked: Sequence[tuple[T, Pixels]]
) -> Sequence[Found[R]]:
    """What `compute` gives, where what it refuses is refused again when its rows are asked for."""
    try:
        return compute(asked)
    except Refused as problem:
        if len(asked) > 1:
            return [found for each in asked for found in _served(compute, [each])]
        return [partial(_refuse, problem)]


def _refuse(problem: Refused) -> NoReturn:
    raise problem


def ahead(pool: ThreadPoolExecutor, function: Callable[[T], S], items: Iterable[T], *, at_most: int) -> Iterator[S]:
    """`map` in the threads of a pool, at most so many results ahead of the one that is asked for.

    What `items` or `function` raise comes after the results before it.
    """
    pending: deque[Future[S]] = deque()
    source, problem = iter(items), None
    while problem is None:
        try:
            pending.append(pool.submit(function, next(source)))
        except Exception as end:
            problem = end
        while len(pending) > (at_most if problem is None else 0):
            yield pending.popleft().result()
    if not isinstance(problem, StopIteration):
        raise problem


def on_image(work: Work, image: ImageRow, compute: Callable[[Pixels], T]) -> T | Quarantined:
    """What `compute` finds in an image, or what a model refuses in it."""
    pixels = read_image(work, image)
    try:
        return compute(pixels)
    except Refused as problem:
        return _left_out(image, problem)


def _left_out(image: ImageRow, problem: Refused) -> Quarantined:
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
