"""The average of the weights of a training: what it is made of, and that a kill changes nothing."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ops.refusal import Refused
from ops.segmenters.training import train
from ops.training.dataset import ReferentDataset
from ops.training.train_state import State
from ops.training.weight_average import share_kept
from tests.ops.training.data import some_data
from tests.ops.training.tiny import PLAN, assert_same, new_model, restored, stored

AVERAGED = replace(PLAN, ema=0.3, checkpoint_every_steps=1)


@pytest.fixture(scope="module")
def data() -> ReferentDataset:
    return some_data()


def test_the_model_ends_as_the_average_of_its_weights_after_every_step(data: ReferentDataset) -> None:
    average: dict[str, Tensor] = {name: value.clone() for name, value in new_model().state_dict().items()}
    steps: list[int] = []

    def follow(state: State) -> None:
        steps.append(state["step"])
        kept = min(0.3, (1 + state["step"]) / (10 + state["step"]))
        for name, value in state["model"].items():
            mixed = kept * average[name] + (1 - kept) * value
            average[name] = mixed if value.is_floating_point() else value.clone()

    model = new_model()
    history = train(model, data, AVERAGED, save=follow)
    assert steps == list(range(1, 10))
    plain = new_model()
    assert history.loss == train(plain, data, PLAN).loss  # the training itself is the same
    for name, value in model.state_dict().items():
        assert torch.allclose(value.double(), average[name].double(), rtol=1e-5, atol=1e-7), name
    last = plain.state_dict()
    assert not all(torch.equal(value, last[name]) for name, value in model.state_dict().items())


def test_an_average_survives_kills_to_the_last_bit(data: ReferentDataset) -> None:
    states: list[bytes] = []
    model = new_model()
    train(model, data, AVERAGED, save=lambda state: states.append(stored(state)))
    for step in (1, 4, 9):
        again = new_model()
        train(again, data, AVERAGED, resume=restored(states[step - 1]))
        assert_same(again.state_dict(), model.state_dict())


def test_a_state_without_an_average_serves_only_a_plan_without_one(data: ReferentDataset) -> None:
    states: list[dict[str, Any]] = []
    train(new_model(), data, PLAN, save=lambda state: states.append(copy.deepcopy(state)))
    assert "average" not in states[0]
    assert "ema" not in states[0]["identity"]
    train(new_model(), data, PLAN, resume=states[0])
    with pytest.raises(Refused, match=r"'ema'.*'average'"):
        train(new_model(), data, AVERAGED, resume=states[0])


def test_a_short_training_forgets_where_it_began() -> None:
    assert [share_kept(step, most=0.99) for step in (1, 10, 10**6)] == pytest.approx([2 / 11, 11 / 20, 0.99])
