"""The temperature, the contrastive loss and the whole objective, by hand and with matched masks."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ops.meres.contrastive_loss import MeresLoss, Temperature, sample_binary_cross_entropy
from ops.ssc.matching import Matched, MatchingLoss
from ops.training.dataset import Batch
from ops.training.losses import per_sample

SIDE = 6


def batch_of(candidates: tuple[tuple[int, ...], ...], objects: list[int] | None = None) -> Batch:
    """Samples of one image with three masks."""
    count, masks = len(candidates), torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
    masks[0, :, :3] = masks[1, :2] = masks[2, 2:4, 2:4] = True
    empty = torch.zeros(count, 1, dtype=torch.long)
    return Batch(
        images_I3HW=torch.zeros(1, 3, SIDE, SIDE),
        image_of_B=torch.zeros(count, dtype=torch.long),
        referent_of_B=torch.tensor(objects or list(range(count))),
        token_ids_BT=empty,
        token_mask_BT=empty,
        masks_MHW=masks,
        masks_of_I=(len(masks),),
        candidates=candidates,
    )


def some_maps(count: int, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_the_temperature_starts_at_one_and_stays_within_its_bounds() -> None:
    temperature = Temperature()
    assert temperature().item() == 1.0
    for value, expected in ((0.5, math.exp(0.5)), (9.0, 10.0), (-9.0, 0.01)):
        with torch.no_grad():
            temperature.log_tau.fill_(value)
        assert temperature().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("outside", [-9.0, 9.0])
def test_a_temperature_beyond_its_bounds_can_come_back(outside: float) -> None:
    temperature = Temperature()
    with torch.no_grad():
        temperature.log_tau.fill_(outside)
    temperature().backward()
    assert temperature.log_tau.grad is not None
    assert temperature.log_tau.grad.item() > 0


def test_contrast_is_binary_cross_entropy_over_the_pixels_of_each_sample() -> None:
    maps, masks = some_maps(3)[:, 2], some_maps(3)[:, 0] > 0
    chances = 1 / (1 + np.exp(-maps.double().numpy()))
    expected = -np.where(masks.numpy(), np.log(chances), np.log(1 - chances)).reshape(3, -1).mean(1)
    assert sample_binary_cross_entropy(maps, masks).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_at_temperature_one_a_foreground_pixel_costs_at_least_0_313() -> None:
    everywhere = torch.ones(1, SIDE, SIDE)
    assert sample_binary_cross_entropy(everywhere, everywhere.bool()).item() == pytest.approx(0.313, abs=5e-4)


def test_the_objective_weighs_two_to_one_against_the_first_candidates() -> None:
    maps, batch = some_maps(2), batch_of(((1, 0), (2,)))
    targets = batch.masks[0][[1, 2]]
    expected = 2 * per_sample(maps[:, :2], targets) + sample_binary_cross_entropy(maps[:, 2], targets).mean()
    torch.testing.assert_close(MeresLoss()(maps, batch), expected)
    without = MeresLoss()(maps[:, :2], batch)
    torch.testing.assert_close(without, 2 * per_sample(maps[:, :2], targets))


def test_both_halves_of_a_sample_may_count_the_same() -> None:
    relevance, masks = torch.randn(2, 4, 5), torch.zeros(2, 4, 5, dtype=torch.bool)
    masks[0, 0, 0] = masks[1, :3] = True
    found = sample_binary_cross_entropy(relevance, masks, over="halves")
    for value, one, mask in zip(found, relevance, masks, strict=True):
        inside, outside = -one[mask].sigmoid().log().mean(), -(1 - one[~mask].sigmoid()).log().mean()
        assert value.item() == pytest.approx((inside + outside).item() / 2, rel=1e-5)


def test_one_channel_is_the_difference_of_both_and_all_its_pixels_weigh_the_same() -> None:
    maps, batch = some_maps(2), batch_of(((1, 0), (2,)))
    targets = batch.masks[0][[1, 2]].double()
    chances = (maps[:, 1] - maps[:, 0]).double().sigmoid()
    expected = -2 * (targets * chances.log() + (1 - targets) * (1 - chances).log()).mean()
    found = MeresLoss(mask_loss="bce1")(maps[:, :2], batch)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_both_parts_learn_from_the_mask_that_matching_gives() -> None:
    maps, batch = some_maps(3), batch_of(((0, 1, 2), (0, 1, 2), (2, 1)))
    matching = MatchingLoss()
    given = matching.match(maps[:, :2], batch).candidates
    assert sorted(given) == [0, 1, 2]
    assert given != [rows[0] for rows in batch.candidates]
    loss = MeresLoss(assign=matching.match)
    targets = batch.masks[0][given]
    mask_part = 2 * matching(maps[:, :2], batch)
    torch.testing.assert_close(loss(maps, batch), mask_part + sample_binary_cross_entropy(maps[:, 2], targets).mean())


def test_the_random_rule_is_drawn_once_for_both_parts() -> None:
    maps, batch = some_maps(3), batch_of(((0, 1, 2),) * 3)
    matching = MatchingLoss(rule="random")
    for seed in range(5):
        torch.manual_seed(seed)
        given = matching.match(maps[:, :2], batch).candidates
        torch.manual_seed(seed)
        targets = batch.masks[0][given]
        expected = 2 * per_sample(maps[:, :2], targets) + sample_binary_cross_entropy(maps[:, 2], targets).mean()
        torch.testing.assert_close(MeresLoss(assign=matching.match)(maps, batch), expected)


def test_samples_without_a_mask_count_but_teach_nothing() -> None:
    maps, batch = some_maps(3).requires_grad_(), batch_of(((0,), (0,), (1,)))
    loss = MeresLoss(assign=MatchingLoss().match)(maps, batch)
    loss.backward()
    assert maps.grad is not None
    taught = maps.grad.flatten(1).abs().sum(1) > 0
    assert sorted(taught.tolist()[:2]) == [False, True]
    assert taught[2]
    kept = [sample for sample in range(3) if taught[sample]]
    alone = MeresLoss()(maps.detach()[kept], batch_of(((0,), (1,))))
    torch.testing.assert_close(loss.detach(), alone * 2 / 3)


def test_a_batch_in_which_nothing_is_matched_costs_nothing_and_still_has_a_graph() -> None:
    def nobody(*_: Any) -> Matched:
        return Matched(candidates=[-1, -1], counts=[0, 0])

    maps = some_maps(2).requires_grad_()
    loss = MeresLoss(assign=nobody)(maps, batch_of(((0,), (1,))))
    loss.backward()
    assert loss.item() == 0
    assert maps.grad is not None
    assert not maps.grad.any()
