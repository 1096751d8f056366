"""Learning rates: polynomial decay, warm-up, by steps, by epochs and in a chain."""

from typing import Any

import pytest
import torch
from torch import nn

from ops.training.schedule import ChainedPolySchedule, PolySchedule, poly


def optimizer(*groups: dict[str, Any]) -> torch.optim.SGD:
    return torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], **group} for group in groups])


def test_poly_falls_from_one_to_zero() -> None:
    assert poly(0, 10) == 1
    assert poly(5, 10) == pytest.approx(0.5**0.9)
    assert poly(10, 10) == 0


def test_the_rate_falls_per_iteration_and_hardly_at_all_per_epoch() -> None:
    by_step = PolySchedule(lr=1.0, total=30)
    assert [by_step.factor(step) for step in (0, 15, 30)] == pytest.approx([1, 0.5**0.9, 0])
    by_epoch = PolySchedule(lr=1.0, total=30, per_epoch=10)
    assert [by_epoch.factor(step) for step in (0, 9, 10, 29)] == pytest.approx(
        [1, 1, (29 / 30) ** 0.9, (28 / 30) ** 0.9]
    )


def test_every_group_gets_its_share_and_the_warm_up_is_linear() -> None:
    schedule, groups = PolySchedule(lr=1e-2, total=20, warmup_steps=4), optimizer({"rate": 0.1}, {"rate": 1.0})
    for step in (0, 1, 3, 10):
        expected = 1e-2 * (1 - step / 20) ** 0.9 * min(1, (step + 1) / 4)
        assert schedule.set_rates(groups, step) == pytest.approx(expected)
        assert [group["lr"] for group in groups.param_groups] == pytest.approx([0.1 * expected, expected])


@pytest.mark.parametrize("total", [3, 7, 101])
def test_the_chain_is_torchs_own_to_the_last_bit(total: int) -> None:
    ours, theirs = (optimizer({"lr": 0.1}, {"lr": 1.0}) for _ in range(2))
    schedule, reference = ChainedPolySchedule(total=total), torch.optim.lr_scheduler.PolynomialLR(theirs, total, 0.9)
    for step in range(total):
        rate = schedule.set_rates(ours, step)
        assert [group["lr"] for group in ours.param_groups] == [group["lr"] for group in theirs.param_groups]
        assert rate == theirs.param_groups[1]["lr"]
        theirs.step()
        reference.step()
