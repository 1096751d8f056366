"""The average of the weights of a training: what it is made of, and that a kill changes nothing."""

from dataclasses import replace

import pytest
import torch

from ops.refusal import Refused
from ops.segmenters.lavt import Lavt
from ops.segmenters.training import train
from ops.training.dataset import ReferentDataset
from ops.training.weight_average import share_kept
from tests.ops.training.data import some_data
from tests.ops.training.tiny import PLAN, assert_same, new_model, restored, stored

AVERAGED = replace(PLAN, epochs=2, ema=0.3, checkpoint_every_steps=1)


@pytest.fixture(scope="module")
def data() -> ReferentDataset:
    return some_data()


@pytest.fixture(scope="module")
def averaged(data: ReferentDataset) -> tuple[Lavt, list[bytes]]:
    """The model in the end, and the state after every step."""
    states: list[bytes] = []
    model = new_model()
    train(model, data, AVERAGED, save=lambda state: states.append(stored(state)))
    return model, states


def test_the_model_ends_as_the_average_of_its_weights_after_every_step(averaged: tuple[Lavt, list[bytes]]) -> None:
    model, states = averaged
    average = {name: value.double() for name, value in new_model().state_dict().items()}
    for step, state in enumerate(map(restored, states), 1):
        kept = min(0.3, (1 + step) / (10 + step))
        for name, value in state["model"].items():
            share = kept if value.is_floating_point() else 0.0
            average[name] = share * average[name] + (1 - share) * value.double()
    for name, value in model.state_dict().items():
        assert torch.allclose(value.double(), average[name], rtol=1e-5, atol=1e-7), name


def test_the_training_itself_is_that_without_an_average(
    data: ReferentDataset, averaged: tuple[Lavt, list[bytes]]
) -> None:
    plain = new_model()
    states: list[bytes] = []
    train(plain, data, replace(AVERAGED, ema=0.0), save=lambda state: states.append(stored(state)))
    assert_same(restored(averaged[1][-1])["model"], plain.state_dict())
    assert any(not torch.equal(value, plain.state_dict()[name]) for name, value in averaged[0].state_dict().items())
    first = restored(states[0])
    assert "average" not in first
    assert "ema" not in first["identity"]  # states of before there was one go on
    with pytest.raises(Refused, match=r"'ema'.*'average'"):
        train(new_model(), data, AVERAGED, resume=first)


def test_an_average_survives_kills_to_the_last_bit(data: ReferentDataset, averaged: tuple[Lavt, list[bytes]]) -> None:
    model, states = averaged
    for state in (states[3], states[-1]):
        again = new_model()
        train(again, data, AVERAGED, resume=restored(state))
        assert_same(again.state_dict(), model.state_dict())


def test_a_short_training_forgets_where_it_began() -> None:
    assert [share_kept(step, most=0.99) for step in (1, 10, 10**6)] == pytest.approx([2 / 11, 11 / 20, 0.99])
