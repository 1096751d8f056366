"""Training both steps: same bits after a kill, schedules, what a batch consists of, and that they learn."""

import copy
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ops.training.dataset import ReferentDataset
from ops.training.train_state import History, State
from ops.tris.losses import LossWeights
from ops.tris.training import Calibration, TrisPlan, train_response, train_segmenter
from tests.ops.tris import tiny
from tests.ops.tris.training_data import PLAN, WEIGHTS, calibration_of, response_model, segmenter, some_data


@pytest.fixture(scope="module")
def data() -> ReferentDataset:
    return some_data()


@pytest.fixture(scope="module")
def calibration(data: ReferentDataset) -> Calibration:
    return calibration_of(data)


Train = Callable[..., tuple[dict[str, Tensor], History]]


@pytest.fixture(params=["response", "checkpointed response", "segmenter"])
def train(request: pytest.FixtureRequest, data: ReferentDataset, calibration: Calibration) -> Train:
    """Train the step anew; returns weights and curve."""

    def run(plan: TrisPlan = PLAN, **rest: Any) -> tuple[dict[str, Tensor], History]:
        if request.param == "segmenter":
            network = segmenter()
            return network.state_dict(), train_segmenter(network, data, plan, **rest)
        model = response_model()
        if request.param == "checkpointed response":
            plan = replace(plan, accumulate=2)
        history = train_response(model, data, plan, weights=WEIGHTS, calibration=calibration, **rest)
        return model.state_dict(), history

    return run


def stored(state: State) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def restored(content: bytes) -> dict[str, Any]:
    return dict(torch.load(io.BytesIO(content), weights_only=True))


def assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_training_that_is_killed_after_any_step_ends_with_the_same_bits(train: Train) -> None:
    states: dict[int, bytes] = {}
    weights, history = train(save=lambda state: states.update({state["step"]: stored(state)}))
    assert sorted(states) == [1, 2, 3, 4, 5, 6]
    for step in (1, 3, 4, 6):
        again, resumed = train(resume=restored(states[step]))
        assert_same(again, weights)
        assert resumed.loss == history.loss


def test_a_state_of_another_plan_is_refused_but_precision_and_pace_may_change(train: Train) -> None:
    states: list[State] = []
    train(save=lambda state: states.append(copy.deepcopy(state)))
    with pytest.raises(ValueError, match="'lr'"):
        train(replace(PLAN, lr=2e-3), resume=states[0])
    train(replace(PLAN, bf16=True, log_every_seconds=0), resume=states[-2])


def test_rates_fall_to_the_true_last_step_and_clip_has_its_share(train: Train) -> None:
    states: list[State] = []
    _, history = train(save=lambda state: states.append(copy.deepcopy(state)))
    assert history.lr == pytest.approx([1e-3 * (1 - step / 6) ** 0.9 for step in range(6)])
    groups = states[2]["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([0.5 * history.lr[2], history.lr[2]])


def test_the_authors_second_step_counts_epochs(data: ReferentDataset) -> None:
    rates = train_segmenter(segmenter(), data, replace(PLAN, stepping="compat_epoch")).lr
    assert rates == pytest.approx([1e-3] * 3 + [1e-3 * (1 - 1 / 6) ** 0.9] * 3)


def test_both_steps_learn(train: Train) -> None:
    _, history = train(replace(PLAN, epochs=8))
    assert sum(history.loss[-6:]) < 0.9 * sum(history.loss[:6])


def test_another_seed_is_another_training(train: Train) -> None:
    assert train(replace(PLAN, seed=1))[1].loss != train()[1].loss


def test_added_gradients_are_those_of_the_whole_batch_where_norms_are_fixed(
    data: ReferentDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [segmenter().eval(), segmenter().eval()]
    monkeypatch.setattr(torch.nn.Module, "train", lambda self, mode=True: self)
    losses = [
        train_segmenter(model, data, replace(PLAN, accumulate=parts)).loss
        for model, parts in zip(models, (1, 3), strict=True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_negatives_of_a_sample_are_a_function_of_seed_and_step(calibration: Calibration) -> None:
    batch = [(0, 1), (6, 0)]
    own, negatives = calibration.embeddings(batch, count=4, seed=0, step=3)
    assert own.shape == (2, tiny.EMBED)
    assert negatives.shape == (2, 4, tiny.EMBED)
    assert torch.equal(own[0], calibration.texts[0][1])
    others = calibration.texts[1]
    assert all(any(torch.equal(one, text) for text in others) for one in negatives[0])
    assert torch.equal(negatives, calibration.embeddings(batch, count=4, seed=0, step=3)[1])
    assert not torch.equal(negatives, calibration.embeddings(batch, count=4, seed=0, step=4)[1])


def test_classification_alone_needs_no_scorer(data: ReferentDataset, calibration: Calibration) -> None:
    weights = LossWeights(positive=0, negative=0)
    assert train_response(response_model(), data, PLAN, weights=weights, calibration=None).loss
    for wrong in ({"weights": weights, "calibration": calibration}, {"weights": WEIGHTS, "calibration": None}):
        with pytest.raises(ValueError, match="exactly if"):
            train_response(response_model(), data, PLAN, **wrong)


def test_calibration_can_wait_until_classification_has_had_its_share(
    data: ReferentDataset, calibration: Calibration
) -> None:
    late = replace(calibration, after=0.5)
    alone = train_response(response_model(), data, PLAN, weights=WEIGHTS.uncalibrated, calibration=None)
    waited = train_response(response_model(), data, PLAN, weights=WEIGHTS, calibration=late)
    assert [one == other for one, other in zip(alone.loss, waited.loss, strict=True)] == [True] * 3 + [False] * 3


def test_texts_of_the_same_image_can_be_left_out_of_the_negatives(
    data: ReferentDataset, calibration: Calibration
) -> None:
    plan, losses = replace(PLAN, epochs=1, batch_size=7), []
    for exclude in (False, True):
        history = train_response(
            response_model(), data, plan, weights=WEIGHTS, calibration=calibration, exclude=exclude
        )
        losses.append(history.loss[0])
    assert losses[0] != losses[1]


def test_negatives_of_classification_can_be_fewer_at_the_same_batch(
    data: ReferentDataset, calibration: Calibration
) -> None:
    plan, losses = replace(PLAN, epochs=1, batch_size=7), []
    for negatives in (None, 6, 0):
        history = train_response(
            response_model(), data, plan, weights=WEIGHTS, calibration=calibration, negatives=negatives
        )
        losses.append(history.loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[2] != pytest.approx(losses[0], rel=1e-2)
