"""Training IRNet: samples, rates, resuming, and that it learns where an object ends."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ops.images import IMAGENET, normalise
from ops.training.train_state import History, State
from ops.tris.irnet import EMBEDDED, Irnet, edges_and_displacements
from ops.tris.irnet_training import (
    IrnetPlan,
    SeedDataset,
    SeedSampler,
    augment,
    augmented,
    crop,
    settle_mean_displacement,
    top_left_crops,
    train_irnet,
)

PLAN = IrnetPlan(crop=64, radius=5, batch_size=4, edge_lr=0.1, displacement_lr=0.1)


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """A bright box on dark noise, labelled."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.zeros(80, 90, dtype=torch.uint8)
    labels[20:60, 13:53] = 1
    picture = torch.randint(0, 60, (3, 80, 90), generator=rng) + 150 * labels
    return picture.byte(), labels


PAIRS = [scene()] * 4
Pair = tuple[torch.Tensor, torch.Tensor]


def trained(plan: IrnetPlan = PLAN, pairs: Sequence[Pair] = PAIRS, **options: Any) -> tuple[Irnet, History]:
    torch.manual_seed(0)
    net = Irnet(EMBEDDED)
    return net, train_irnet(net, pairs, plan, **options)


def test_a_sample_is_a_crop_with_labels_of_every_fourth_pixel() -> None:
    for seed in range(12):
        picture, labels = augment(*scene(), plan=PLAN, rng=np.random.default_rng(seed))
        assert picture.shape == (3, 64, 64)
        assert labels.shape == (16, 16)
        assert set(labels.unique().tolist()) <= {0, 1, 255}
        bright = (picture * torch.tensor(IMAGENET.std)[:, None, None]).mean(0)[2::4, 2::4] > 0.1
        inside = (labels == 1).float()
        assert (bright == (inside > 0)).float().mean() > 0.9


def test_outside_of_a_small_picture_is_zero_and_ignored() -> None:
    small = torch.full((3, 20, 24), 255, dtype=torch.uint8), torch.zeros(20, 24, dtype=torch.uint8)
    picture, labels = augment(*small, plan=PLAN, rng=np.random.default_rng(0))
    outside = (picture == 0).all(0)
    assert 0.5 < outside.float().mean() < 1
    assert torch.equal(labels == 255, outside[2::4, 2::4])


def test_scales_and_mirrors_vary() -> None:
    column = torch.arange(128, dtype=torch.uint8).expand(3, 128, 128).contiguous()
    slopes = []
    for seed in range(20):
        picture, _ = augment(
            column, torch.zeros(128, 128, dtype=torch.uint8), plan=PLAN, rng=np.random.default_rng(seed)
        )
        slopes.append(float((picture[0, 30, 40] - picture[0, 30, 24]) / 16 * IMAGENET.std[0] * 255))
    assert min(slopes) < 0 < max(slopes)
    assert 1 / 1.6 < min(abs(slope) for slope in slopes) < 0.9 < 1.2 < max(abs(slope) for slope in slopes) < 2.1


def test_a_crop_may_start_outside() -> None:
    square = crop(torch.arange(6).view(2, 3), side=4, top=-1, left=1, outside=9)
    assert square.tolist() == [[9, 9, 9, 9], [1, 2, 9, 9], [4, 5, 9, 9], [9, 9, 9, 9]]


def test_rates_fall_by_a_power_and_the_heads_have_their_own() -> None:
    states: list[State] = []
    plan = IrnetPlan(crop=64, radius=5, batch_size=4, epochs=10, checkpoint_every_steps=1)
    trained(plan, save=lambda state: states.append(copy.deepcopy(state)))
    for step, state in enumerate(states[:3]):
        expected = (1 - step / 10) ** 0.9
        rates = [group["lr"] for group in state["optimizer"]["param_groups"]]
        assert rates == pytest.approx([0.1 * expected, expected])


def test_the_chance_of_a_step_depends_on_seed_and_step_alone() -> None:
    data, sampler = SeedDataset(PAIRS), SeedSampler(9, PLAN)
    assert sampler.per_epoch == 2
    epochs = [sampler.epoch(epoch) for epoch in (0, 1)]
    for epoch, steps in enumerate(epochs):
        rows = [row for ((*samples,),) in steps for ((row, _),) in samples]
        assert len(set(rows)) == len(rows) == 8
        assert [{step for ((_, step),) in samples} for ((*samples,),) in steps] == [{2 * epoch}, {2 * epoch + 1}]
    assert [row for ((*samples,),) in epochs[0] for ((row, _),) in samples] != list(range(8))
    batches = [augmented([data[((0, step),)]] * 4, plan=PLAN).images_B3SS for step in (3, 3, 4)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])
    assert not torch.equal(batches[0][0], batches[0][1])


def test_it_learns_where_the_object_ends() -> None:
    net, history = trained(replace(PLAN, epochs=60))
    losses = history.loss
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])
    edges, _ = edges_and_displacements(net, scene()[0])
    middle, border = torch.zeros(2, 20, 23, dtype=torch.bool)
    middle[8:12, 6:10] = True
    border[4:16, 2:15] = True
    border[7:13, 5:12] = False
    assert edges[border].mean() > 2 * edges[middle].mean()
    assert edges[border].mean() > 2 * edges[:, -3:].mean()


def test_a_resumed_training_ends_with_the_same_bits() -> None:
    states: list[State] = []
    plan = replace(PLAN, epochs=4, checkpoint_every_steps=1)
    whole, history = trained(plan, save=lambda state: states.append(copy.deepcopy(state)))
    assert states[1]["step"] == 2
    resumed, again = trained(plan, resume=states[1])
    assert again.loss == history.loss
    ours, theirs = resumed.state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(ValueError, match="'edge_lr'"):
        trained(replace(plan, edge_lr=0.2), resume=states[1])


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    picture, labels = scene()
    with pytest.raises(FloatingPointError, match="step 0; lower the rates"):
        trained(pairs=[(picture * torch.nan, labels)] * 4)


def test_the_mean_displacement_is_that_of_the_training_pictures_and_looking_takes_it_off() -> None:
    torch.manual_seed(3)
    net = Irnet(EMBEDDED)
    pictures = [crop(normalise(scene()[0]), side=64, outside=0)[None] for _ in range(2)]
    pictures[1] = -pictures[1]
    net.displacement.mean_2.fill_(7)
    mean = settle_mean_displacement(net, pictures)
    with torch.no_grad():
        raw = [net.train()(picture)[1].mean((0, 2, 3)) for picture in pictures]
        shifted = [net.eval()(picture)[1].mean((0, 2, 3)) for picture in pictures]
    assert torch.allclose(mean, (raw[0] + raw[1]) / 2, atol=1e-5)
    assert torch.allclose(shifted[0] + shifted[1], torch.zeros(2), atol=1e-5)
    with pytest.raises(ValueError, match="at least one"):
        settle_mean_displacement(net, [])


def test_plans_without_pairs_are_refused_and_short_batches_left_out() -> None:
    with pytest.raises(ValueError, match="multiple of 4, 76 or more"):
        IrnetPlan(crop=72)
    assert SeedSampler(100, IrnetPlan(crop=76)).per_epoch == 4
    with pytest.raises(ValueError, match="4 objects have seeds, fewer than a batch of 24"):
        trained(IrnetPlan(crop=76))


def test_crops_come_in_batches_and_the_last_has_what_is_left() -> None:
    images = [scene()[0] for _ in range(5)]
    batches = list(top_left_crops(images, plan=PLAN))
    assert [len(batch) for batch in batches] == [4, 1]
    assert torch.equal(batches[1][0], crop(normalise(images[4]), side=64, outside=0))
