"""Two processes that train together end where one process with the whole batch does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, nn

from ops.segmenters.lavt import Lavt
from ops.segmenters.training import Loss, SegmenterPlan, first_candidate, train
from ops.ssc.matching import MatchingLoss
from ops.training.distributed import ALONE, ProcessGroup, SyncedBatchNorm
from ops.training.train_state import State
from tests.ops.training.data import some_data
from tests.ops.training.tiny import CONFIG, PLAN, new_model
from tests.ranks import in_two_processes, meet

STEADY = replace(CONFIG, drop_path=0.0)
"""Without drop path, whose noise differs from process to process."""

INERT = ("query.bias", "key.bias", "value.bias", "output.bias")
"""Of the fusions; a norm or a softmax cancels them: their gradients are rounding noise, which Adam makes large."""


def still_model() -> Lavt:
    return Lavt(STEADY, new_model().language)


def train_member(
    rank: int, size: int, port: int, out: Path, plan: SegmenterPlan, loss: Loss, state: Path | None
) -> None:
    group = meet(rank, size, port)
    model, saved = still_model(), []
    resume = torch.load(state, weights_only=True) if state else None
    history = train(
        model, some_data(), plan, resume=resume, loss=loss, group=group, save=lambda state: saved.append(state["step"])
    )
    torch.save({"weights": model.state_dict(), "history": history.loss, "saved": saved}, out / f"{rank}.pt")
    distributed.destroy_process_group()


def train_group(out: Path, plan: SegmenterPlan, loss: Loss = first_candidate, state: Path | None = None) -> list[State]:
    in_two_processes(train_member, out, plan, loss, state)
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_losses_and_weights_are_those_of_one_process(tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=2, accumulate=2, batch_size=12, clip_norm=0.5)
    alone, loss = still_model(), MatchingLoss(rule="greedy")
    history = train(alone, some_data(), plan, loss=loss)
    first, second = train_group(tmp_path, plan, loss)
    assert first["history"] == pytest.approx(history.loss, abs=2e-5)
    assert first["history"] == second["history"]
    assert all(torch.equal(first["weights"][name], value) for name, value in second["weights"].items())
    for name, value in alone.state_dict().items():
        if "fusions" in name and name.endswith(INERT):
            continue
        torch.testing.assert_close(first["weights"][name], value, atol=1e-4, rtol=0)
    assert first["saved"]
    assert second["saved"] == []


def test_a_group_may_go_on_where_one_process_was(tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=2, lr=1e-4)

    def keep(state: State) -> None:
        if state["step"] == 3:
            torch.save(state, tmp_path / "third.pt")

    history = train(still_model(), some_data(), plan, save=keep)
    first, _ = train_group(tmp_path, plan, state=tmp_path / "third.pt")
    assert first["history"][:3] == history.loss[:3]
    assert first["history"] == pytest.approx(history.loss, abs=2e-5)


def norm_member(rank: int, size: int, port: int, out: Path, whole: np.ndarray, grad: np.ndarray) -> None:
    meet(rank, size, port)
    norm = SyncedBatchNorm.of(nn.BatchNorm2d(3))
    rows = slice(0, 1) if rank == 0 else slice(1, None)  # shares of unequal size
    mine = torch.from_numpy(whole[rows]).requires_grad_()
    found = norm(mine)
    found.backward(torch.from_numpy(grad[rows]))
    torch.save({"out": found.detach(), "grad": mine.grad, "stats": norm.state_dict()}, out / f"{rank}.pt")
    distributed.destroy_process_group()


def test_batch_norm_sees_the_samples_of_all_processes(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    whole, grad = (torch.randn(4, 3, 5, 6, generator=generator) * 3 + 1 for _ in range(2))
    in_two_processes(norm_member, tmp_path, whole.numpy(), grad.numpy())
    norm, x = nn.BatchNorm2d(3), whole.clone().requires_grad_()
    expected = norm(x)
    expected.backward(grad)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    torch.testing.assert_close(torch.cat([part["out"] for part in parts]), expected.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.cat([part["grad"] for part in parts]), x.grad, atol=1e-5, rtol=1e-5)
    for part in parts:
        torch.testing.assert_close(part["stats"], norm.state_dict(), atol=1e-5, rtol=1e-5)


def test_a_process_alone_is_the_main_one() -> None:
    assert ALONE.is_main
    assert not ProcessGroup(rank=1, size=2).is_main
