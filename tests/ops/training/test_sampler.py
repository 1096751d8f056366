"""Which samples a step sees: whole images, even parts, and an order that depends on seed and epoch alone."""

from collections import Counter

import numpy as np
import pytest
import torch

from ops.training.dataset import ReferentDataset
from ops.training.distributed import ProcessGroup
from ops.training.sampler import (
    Expressions,
    PackedImageSampler,
    Part,
    ReferentSampler,
    TrainingSampler,
    samples_in,
    shares,
)
from tests.ops.training.data import some_data


@pytest.fixture(scope="module")
def data() -> ReferentDataset:
    return some_data()


def packed(data: ReferentDataset, epoch: int = 0, *, seed: int = 0, expressions: Expressions = "one") -> list[Part]:
    return PackedImageSampler(data, size=6, seed=seed, expressions=expressions).packed(epoch)


def samples_of(parts: list[Part]) -> list[tuple[int, int]]:
    return [sample for part in parts for samples in part for sample in samples]


def test_images_stay_whole_and_batches_even(data: ReferentDataset) -> None:
    parts = packed(data)
    assert len(parts) == PackedImageSampler(data, size=6, seed=0).parts == 3
    images = [{data.referents[number].image for number, _ in samples_of([part])} for part in parts]
    assert sum(map(len, images)) == len(set.union(*images)) == 8
    assert [len(part) for part in parts] == list(map(len, images))
    assert max(map(samples_in, parts)) - min(map(samples_in, parts)) <= 2


@pytest.mark.parametrize(("expressions", "times"), [("one", 1), ("two", 2), ("all", 3)])
def test_every_referent_comes_once_an_epoch_or_with_all_its_expressions(
    data: ReferentDataset, expressions: Expressions, times: int
) -> None:
    drawn = samples_of(packed(data, expressions=expressions))
    assert len(drawn) == len(set(drawn))
    assert Counter(number for number, _ in drawn) == dict.fromkeys(range(16), times)


def test_order_depends_on_seed_and_epoch_alone(data: ReferentDataset) -> None:
    assert packed(data, 1) == packed(data, 1)
    assert packed(data, 1) != packed(data, 2)
    assert packed(data, 1) != packed(data, 1, seed=1)


def test_over_the_epochs_every_expression_is_drawn(data: ReferentDataset) -> None:
    counts = Counter(sample for epoch in range(40) for sample in samples_of(packed(data, epoch)))
    assert set(counts) == {(number, row) for number in range(16) for row in range(3)}


def test_an_image_without_masks_is_no_trouble() -> None:
    data = some_data(2)
    pixels = np.concatenate([data.images_N3HW, data.images_N3HW[:1]])
    assert data.masks is not None
    with_empty = ReferentDataset(pixels, [*data.masks, torch.zeros(0, 48, 48).bool()], data.referents)
    assert packed(with_empty) == packed(data)


def test_steps_take_so_many_parts_and_the_last_what_is_left(data: ReferentDataset) -> None:
    sampler = PackedImageSampler(data, size=4, seed=0, accumulate=3)
    assert sampler.per_epoch == 2
    assert [len(step) for step in sampler.epoch(0)] == [3, 1]
    assert [part for step in sampler.epoch(0) for part in step] == sampler.packed(0)


def test_every_epoch_shows_every_referent_once_in_an_order_of_its_own(data: ReferentDataset) -> None:
    sampler = ReferentSampler(data, batch_size=7, seed=0, chunk=3)
    epochs = [sampler.epoch(number) for number in range(30)]
    assert sampler.per_epoch == 3
    for steps in epochs:
        assert [[samples_in(part) for part in step] for step in steps] == [[3, 3, 1], [3, 3, 1], [2]]
        assert sorted(number for step in steps for number, _ in samples_of(step)) == list(range(16))
    assert epochs[0] != epochs[1]
    assert epochs[4] == sampler.epoch(4)
    drawn = {sample for steps in epochs for step in steps for sample in samples_of(step)}
    assert drawn == {(number, row) for number in range(16) for row in range(3)}


def test_a_training_may_start_at_any_step(data: ReferentDataset) -> None:
    sampler = PackedImageSampler(data, size=4, seed=0, accumulate=3)
    whole = TrainingSampler(sampler, epochs=3)
    assert whole.total == 6
    assert list(whole) == [part for epoch in range(3) for step in sampler.epoch(epoch) for part in step]
    late = TrainingSampler(sampler, epochs=3, first=3)
    assert list(late) == list(whole)[4 + 3 :]
    assert [part for step in range(3, 6) for part in late.step(step)] == list(late)


def test_processes_share_every_part_by_whole_images(data: ReferentDataset) -> None:
    sampler = PackedImageSampler(data, size=6, seed=0)
    groups = [ProcessGroup(rank=rank, size=2) for rank in (0, 1)]
    halves = [list(TrainingSampler(sampler, epochs=1, group=group)) for group in groups]
    for part, *shared in zip(sampler.packed(0), *halves, strict=True):
        assert sorted(samples for half in shared for samples in half) == sorted(part)
        assert abs(samples_in(shared[0]) - samples_in(shared[1])) <= 2


def test_who_has_no_share_borrows_one_and_batches_that_cannot_be_shared_say_so(data: ReferentDataset) -> None:
    two: Part = [((0, 0), (1, 0)), ((2, 0),)]
    assert [samples_in(part) for part in shares(two, 2)] == [2, 1]
    assert shares(two, 4) == [two[:1], two[1:], two[:1], two[:1]]
    sampler = ReferentSampler(data, batch_size=15, seed=0)
    assert [samples_in(part) for part in TrainingSampler(sampler, epochs=1, group=ProcessGroup(rank=1, size=2))] == [
        7,
        1,
    ]
    with pytest.raises(ValueError, match="raise batch_size"):
        TrainingSampler(sampler, epochs=1, group=ProcessGroup(rank=1, size=16))
