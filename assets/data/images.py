"""Images as stages read them: checked against the hash in `references`, read ahead, with what fails quarantined.

Shapes: H x W pixels of an image.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Generic, NoReturn, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from assets.data.tables import ImageRow
from assets.framework.tables import Table
from assets.framework.work import Work
from ops.refusal import Refused
from resources.datasets import ImageChangedError
from resources.datasets.images import load_image
from resources.datasets.reading import Dataset
from resources.engines.engine import computed
from resources.opening import digest_of
from resources.runtime import Runtime
from storage.rows import Quarantined, Tally, Unit, fill_table

R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
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


@runtime_checkable
class Together(Protocol[T_contra, R_co]):
    """What computes the rows of several images in a pass."""

    @property
    def at_once(self) -> int:
        """Images of a pass at most; halved where the device's memory does not hold them."""

    def several(self, asked: Sequence[tuple[T_contra, Pixels]]) -> Sequence[Found[R_co]]:
        """(payload, pixels) of some tasks -> of each, what gives its rows.

        That is called in a thread of its own while the next ones are computed. Both may raise `Refused`; tasks that are
        refused together are asked for one by one.
        """


Computes = Callable[[T, Pixels], Iterable[R]] | Together[T, R]
"""(payload, pixels) -> rows, maybe none. A `Refused` that it raises quarantines the task with its reason; anything else
ends the stage."""
Opens = Callable[[Work], Computes[T, R]]
"""Opens the models of a stage where its rows are computed: a function of a module, or a `partial` of one."""


def per_image(
    work: Work, table: Table[R], tasks: Sequence[ImageTask[T]], opens: Opens[T, R], *, earlier: str = ""
) -> Tally:
    """Fill a table image by image; resumes after a kill, copies rows of equal keys, quarantines what is refused.

    Args:
        work: the running stage; needs `references`.
        table: what is filled, in the order of the tasks.
        tasks: their keys differ.
        opens: what computes rows, see above.
        earlier: see `storage.rows.fill_table`.

    Returns:
        How the tasks came about.
    """
    return fill_table(
        work.slot,
        table.name,
        [Unit(key=task.key, payload=task, label=task.label or task.image.image_id) for task in tasks],
        partial(computed_in_images, work, opens, table.columns),
        schema=table.schema,
        shard=work.runtime.shard,
        reuse=work.reuse,
        earlier=earlier,
        log=work.log,
    )


def computed_in_images(
    work: Work, opens: Opens[T, R], stored: Callable[[R], S], tasks: Sequence[ImageTask[T]]
) -> Iterator[tuple[int, list[S] | Quarantined]]:
    """Place and rows of each task, by the engine that the run's settings name."""
    worker = ImageWorker(work=work, opens=opens, stored=stored)
    yield from computed(worker, tasks, together=work.runtime.together() if worker.gpu else 1, log=work.log)


@dataclass(frozen=True, kw_only=True)
class ImageWorker(Generic[T, R, S]):
    """A `resources.engines.worker.Worker` on tasks, which reads the next images while it computes one."""

    work: Work
    opens: Opens[T, R]
    stored: Callable[[R], S]
    """Of a row, what is kept."""

    @property
    def runtime(self) -> Runtime:
        """As `Worker.runtime`."""
        return self.work.runtime

    @property
    def gpu(self) -> bool:
        """As `Worker.gpu`."""
        return self.work.instance.stage.gpu

    @property
    def small(self) -> bool:
        """As `Worker.small`."""
        return self.work.has_small_models

    def open(self, log: Callable[[str], None]) -> Callable[[Sequence[ImageTask[T]]], Iterator[list[S] | Quarantined]]:
        """As `Worker.open`."""
        work = replace(self.work, log=log)
        compute = work.once(self.opens)
        if not isinstance(compute, Together):
            return partial(self._rows, work, partial(_alone, compute), 1)
        if (size := compute.at_once) == 1:
            return partial(self._rows, work, compute.several, size)
        from resources.models.batches import Batches  # brings torch, which stages that only read do without

        return partial(self._rows, work, Batches(compute.several, runtime=work.runtime, size=size), size)

    def _rows(
        self,
        work: Work,
        compute: Callable[[Sequence[tuple[T, Pixels]]], Sequence[Found[R]]],
        size: int,
        asked: Sequence[ImageTask[T]],
    ) -> Iterator[list[S] | Quarantined]:
        dataset = work.dataset

        def read(task: ImageTask[T]) -> tuple[ImageTask[T], Pixels]:
            return task, read_pixels(dataset, task.image)

        def found(images: Iterator[tuple[ImageTask[T], Pixels]]) -> Iterator[tuple[ImageTask[T], Found[R]]]:
            while batch := list(islice(images, size)):
                served = _served(compute, [(task.payload, pixels) for task, pixels in batch])
                yield from zip([task for task, _ in batch], served, strict=True)

        def finish(done: tuple[ImageTask[T], Found[R]]) -> list[S] | Quarantined:
            task, rows = done
            try:
                return [self.stored(row) for row in rows()]
            except Refused as problem:
                return _left_out(task.image, problem)

        with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(1) as encoder:
            images = ahead(readers, read, asked, at_most=size + 1)
            yield from ahead(encoder, finish, found(images), at_most=size)


def _alone(compute: Callable[[T, Pixels], Iterable[R]], asked: Sequence[tuple[T, Pixels]]) -> list[Found[R]]:
    ((payload, pixels),) = asked
    rows = list(compute(payload, pixels))
    return [lambda: rows]


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
