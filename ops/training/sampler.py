"""Samplers: the samples of every optimizer step, a function of (seed, epoch), the same for a resumed training.

A step has one or more parts, each of which is a forward and backward pass; a part is a list of images with their
samples, see `ops.training.dataset.ImageSamples`.
"""

import heapq
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Literal, Protocol

import numpy as np
from torch.utils.data import Sampler

from ops.refusal import Refused
from ops.training.dataset import ImageSamples, ReferentDataset, Sample
from ops.training.distributed import ALONE, ProcessGroup

Expressions = Literal["one", "two", "all"]
"""Per epoch and referent: one random expression (the papers), two different ones, or all of them."""
Part = list[ImageSamples]
Step = list[Part]


class EpochSampler(Protocol):
    """Sampler of an epoch's steps."""

    @property
    def per_epoch(self) -> int:
        """Optimizer steps of an epoch; the same for every epoch."""

    def epoch(self, epoch: int) -> Sequence[Step]:
        """The steps of an epoch, counted from 0."""


class PackedImageSampler:
    """Whole images, in random order, packed into parts of about `size` samples; `accumulate` parts make a step.

    Every epoch has the same number of parts and there is no short last one: samples are spread evenly, so that a part
    differs from `size` by a few samples. The last step of an epoch may have fewer parts.
    """

    def __init__(
        self, dataset: ReferentDataset, *, size: int, seed: int, accumulate: int = 1, expressions: Expressions = "one"
    ) -> None:
        """`expressions` is the number of samples of a referent in an epoch."""
        self.dataset, self.size, self.seed = dataset, size, seed
        self.accumulate, self.expressions = accumulate, expressions

    @cached_property
    def parts(self) -> int:
        """Parts of an epoch: samples / size rounded up, but no more than there are images."""
        samples = sum(self._samples_of(number) for number in range(len(self.dataset)))
        return min(-(-samples // self.size), len(self.dataset.referents_of_image))

    @property
    def per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-self.parts // self.accumulate)

    def epoch(self, epoch: int) -> list[Step]:
        """The packed parts, `accumulate` at a time."""
        packed = self.packed(epoch)
        return [packed[start : start + self.accumulate] for start in range(0, len(packed), self.accumulate)]

    def packed(self, epoch: int) -> list[Part]:
        """Shuffle the images and give each, whole, to the part that has fewest samples so far."""
        rng = np.random.default_rng([self.seed, epoch])
        images = rng.permutation(sorted(self.dataset.referents_of_image)).tolist()
        packed: list[Part] = [[] for _ in range(self.parts)]
        smallest = [(0, row) for row in range(len(packed))]
        for image in images:
            samples, row = heapq.heappop(smallest)
            packed[row].append(self._drawn(image, rng))
            heapq.heappush(smallest, (samples + len(packed[row][-1]), row))
        return packed

    def _drawn(self, image: int, rng: np.random.Generator) -> ImageSamples:
        drawn: list[Sample] = []
        for number in self.dataset.referents_of_image[image]:
            available = len(self.dataset.referents[number].token_ids_ST)
            if self.expressions == "all":
                rows = list(range(available))
            else:
                rows = rng.choice(available, self._samples_of(number), replace=False).tolist()
            drawn.extend((number, row) for row in rows)
        return tuple(drawn)

    def _samples_of(self, number: int) -> int:
        available = len(self.dataset.referents[number].token_ids_ST)
        return {"one": 1, "two": min(2, available), "all": available}[self.expressions]


class ReferentSampler:
    """Every referent once an epoch, in random order, with a uniformly sampled expression (TRIS spec 1.2).

    A step has `batch_size` samples, the last of an epoch what is left; parts have `chunk` samples.
    """

    def __init__(self, dataset: ReferentDataset, *, batch_size: int, seed: int, chunk: int | None = None) -> None:
        """`chunk` is None where a batch stays whole."""
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.chunk = chunk or batch_size

    @property
    def per_epoch(self) -> int:
        """Optimizer steps of an epoch, the last and shorter one included."""
        return -(-len(self.dataset) // self.batch_size)

    def epoch(self, epoch: int) -> list[Step]:
        """Batches of the shuffled referents, each in parts."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.dataset)).tolist()
        drawn: Part = [
            ((number, int(rng.integers(len(self.dataset.referents[number].token_ids_ST)))),) for number in order
        ]
        return [in_chunks(batch, self.chunk) for batch in in_chunks(drawn, self.batch_size)]


class TrainingSampler(Sampler[Part]):
    """Batch sampler of a whole training, from any step on: this process's share of every part."""

    def __init__(self, sampler: EpochSampler, *, epochs: int, first: int = 0, group: ProcessGroup = ALONE) -> None:
        """Start at the step `first` of `epochs` epochs.

        Raises:
            Refused: every part of the first epoch has fewer images than there are processes.
        """
        self.per_epoch, self.first, self.group = sampler.per_epoch, first, group
        self.total = epochs * self.per_epoch
        self._epoch = lru_cache(maxsize=4)(sampler.epoch)
        if group.size > 1:
            demand_images(max((part for step in self._epoch(0) for part in step), key=len), group.size)

    def step(self, step: int) -> Step:
        """The parts of a step, before they are shared."""
        epoch, row = divmod(step, self.per_epoch)
        return self._epoch(epoch)[row]

    def __iter__(self) -> Iterator[Part]:
        """The parts of every step that is left."""
        for step in range(self.first, self.total):
            yield from (shares(part, self.group.size)[self.group.rank] for part in self.step(step))


def shares(part: Part, count: int) -> list[Part]:
    """Give each image, whole and in turn, to the share that has fewest samples so far.

    Where there are fewer images than shares, the last shares borrow one that is another's.
    """
    divided: list[Part] = [[] for _ in range(count)]
    for samples in part:
        min(divided, key=samples_in).append(samples)
    return [share or part[:1] for share in divided]


def demand_images(part: Part, count: int) -> None:
    """Refuse a part with fewer images than shares.

    Raises:
        Refused: says what to change.
    """
    if len(part) < count:
        raise Refused(
            f"a batch of {len(part)} images cannot be shared by {count} processes; "
            "raise batch_size, or lower accumulate or processes"
        )


def samples_in(part: Part) -> int:
    """Number of samples of a part."""
    return sum(map(len, part))


def in_chunks(samples: Part, size: int) -> list[Part]:
    """So many at a time; the last chunk has what is left."""
    return [samples[start : start + size] for start in range(0, len(samples), size)]
