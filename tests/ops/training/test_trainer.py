"""The trainer: a killed run ends like an undisturbed one, schedules, scores, accumulation, and that it learns."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ops.segmenters.lavt import Lavt
from ops.segmenters.training import SegmenterPlan, adamw, first_candidate, train
from ops.training.dataset import Batch, ReferentDataset
from ops.training.train_state import State
from tests.ops.training.data import some_data
from tests.ops.training.tiny import PLAN, assert_same, new_model, restored, stored


@pytest.fixture(scope="module")
def data() -> ReferentDataset:
    return some_data()


@pytest.fixture(scope="module")
def undisturbed(data: ReferentDataset) -> tuple[Lavt, list[float]]:
    model = new_model()
    return model, train(model, data, PLAN).loss


def test_a_run_that_is_killed_after_any_step_ends_with_the_same_bits(
    data: ReferentDataset, undisturbed: tuple[Lavt, list[float]]
) -> None:
    model, losses = undisturbed
    assert len(losses) == 9
    for stops in ([1], [4, 5], [3, 8], [2, 6]):
        saved: bytes | None = None
        for stop in [*stops, None]:
            states: list[bytes] = []

            def keep(state: State, states: list[bytes] = states, stop: int | None = stop) -> None:
                states.append(stored(state))
                if state["step"] == stop:
                    raise KeyboardInterrupt

            again = new_model()
            try:
                history = train(again, data, PLAN, resume=None if saved is None else restored(saved), save=keep)
            except KeyboardInterrupt:
                saved = states[-1]
        assert_same(again.state_dict(), model.state_dict())
        assert history.loss == losses


def test_a_checkpoint_between_two_saved_states_is_not_needed(
    data: ReferentDataset, undisturbed: tuple[Lavt, list[float]]
) -> None:
    states: dict[int, bytes] = {}
    plan = SegmenterPlan(**{**PLAN.__dict__, "checkpoint_every_steps": 4})
    train(new_model(), data, plan, save=lambda state: states.update({state["step"]: stored(state)}))
    assert sorted(states) == [4, 8, 9]
    again = new_model()
    train(again, data, plan, resume=restored(states[4]))
    assert_same(again.state_dict(), undisturbed[0].state_dict())


def test_a_finished_run_resumes_to_itself(data: ReferentDataset, undisturbed: tuple[Lavt, list[float]]) -> None:
    states: list[bytes] = []
    train(new_model(), data, PLAN, save=lambda state: states.append(stored(state)))
    again = new_model()
    assert train(again, data, PLAN, resume=restored(states[-1])).loss == undisturbed[1]
    assert_same(again.state_dict(), undisturbed[0].state_dict())


def test_a_state_of_another_plan_is_refused(data: ReferentDataset) -> None:
    states: list[State] = []
    train(new_model(), data, PLAN, save=lambda state: states.append(copy.deepcopy(state)))
    with pytest.raises(ValueError, match="'lr'"):
        train(new_model(), data, SegmenterPlan(**{**PLAN.__dict__, "lr": 2e-3}), resume=states[0])
    with pytest.raises(ValueError, match="'total'"):
        train(new_model(), some_data(4), PLAN, resume=states[0])


def test_the_rate_follows_the_polynomial_to_the_true_last_step(data: ReferentDataset) -> None:
    rates = train(new_model(), data, PLAN).lr
    assert rates == pytest.approx([1e-3 * (1 - step / 9) ** 0.9 for step in range(9)])


def test_frozen_parts_of_bert_keep_their_weights_and_the_rest_moves(
    data: ReferentDataset, undisturbed: tuple[Lavt, list[float]]
) -> None:
    before = new_model().state_dict()
    moved = {name for name, value in undisturbed[0].state_dict().items() if not torch.equal(value, before[name])}
    assert not {name for name in moved if name.startswith(("bert.embeddings", "bert.encoder.layer.1"))}
    trained = {
        name for name, _ in undisturbed[0].named_parameters() if ".layer.1." not in name and "embeddings" not in name
    }
    assert trained - moved == {f"vision.backbone.gates.3.{half}.weight" for half in ("inner", "outer")}


def test_the_loss_falls_and_the_words_are_understood(data: ReferentDataset) -> None:
    model = new_model()
    losses = train(model, data, SegmenterPlan(epochs=35, batch_size=8, lr=1e-2)).loss
    assert np.mean(losses[-4:]) < 0.35 * np.mean(losses[:4])
    batch = data.batch([(number, 0) for number in range(16)])
    model.eval()
    with torch.no_grad():
        found = model(batch.images_I3HW, batch.token_ids_BT, batch.token_mask_BT, image_of_B=batch.image_of_B).argmax(1)
    truth = batch.targets_BHW()
    both_squares = 0.5
    assert ((found == 1) & truth).sum() / ((found == 1) | truth).sum() > 1.2 * both_squares


def test_best_epoch_is_put_back_only_when_epochs_are_scored(
    data: ReferentDataset, undisturbed: tuple[Lavt, list[float]]
) -> None:
    seen: dict[int, dict[str, Tensor]] = {}

    def score(model: Lavt, epoch: int) -> float:
        seen[epoch] = copy.deepcopy(model.state_dict())
        model.eval()
        return {1: 0.2, 2: 0.7, 3: 0.7}[epoch]

    model = new_model()
    history = train(model, data, PLAN, on_epoch=score)
    assert history.scores == {1: 0.2, 2: 0.7, 3: 0.7}
    assert history.best_epoch == 2
    assert_same(model.state_dict(), seen[2])
    assert_same(seen[3], undisturbed[0].state_dict())
    watched = new_model()
    assert train(watched, data, PLAN, on_epoch=lambda *_: None).best_epoch is None
    assert_same(watched.state_dict(), undisturbed[0].state_dict())


def test_best_epoch_survives_a_kill(data: ReferentDataset) -> None:
    states: list[bytes] = []
    scores = {1: 0.9, 2: 0.1, 3: 0.1}
    model, again = new_model(), new_model()
    train(model, data, PLAN, on_epoch=lambda _, epoch: scores[epoch], save=lambda state: states.append(stored(state)))
    train(again, data, PLAN, on_epoch=lambda _, epoch: scores[epoch], resume=restored(states[4]))
    assert_same(again.state_dict(), model.state_dict())


def test_accumulated_batches_weigh_every_sample_the_same(data: ReferentDataset) -> None:
    seen: list[int] = []

    def constant(logits_B2HW: Tensor, batch: Batch) -> Tensor:
        seen.append(len(batch))
        return logits_B2HW.sum() * 0 + len(batch)

    plan = SegmenterPlan(epochs=1, batch_size=12, accumulate=3, lr=1e-9)
    losses = train(new_model(), data, plan, loss=constant).loss
    assert sum(seen) == 16
    assert len(losses) == 2
    sizes = [seen[:3], seen[3:]]
    assert losses == pytest.approx([sum(size * size for size in step) / sum(step) for step in sizes])


def test_autocast_trains_to_nearly_the_same_loss(data: ReferentDataset, undisturbed: tuple[Lavt, list[float]]) -> None:
    losses = train(new_model(), data, SegmenterPlan(**{**PLAN.__dict__, "bf16": True})).loss
    assert losses != undisturbed[1]
    assert losses == pytest.approx(undisturbed[1], rel=0.1)


def test_a_loss_that_is_not_finite_stops_the_run_before_it_changes_a_weight(data: ReferentDataset) -> None:
    model, seen = new_model(), []

    def breaking(logits_B2HW: Tensor, batch: Batch) -> Tensor:
        seen.append(copy.deepcopy(model.state_dict()))
        return first_candidate(logits_B2HW, batch) * (float("nan") if len(seen) == 3 else 1.0)

    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 2; lower the learning rate, 0\.001 now"):
        train(model, data, PLAN, loss=breaking)
    assert_same(model.state_dict(), seen[2])


def test_training_leaves_the_callers_random_numbers_alone(data: ReferentDataset) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    model_seed = torch.random.get_rng_state()
    model = new_model()
    torch.random.set_rng_state(model_seed)
    train(model, data, SegmenterPlan(epochs=1, batch_size=8))
    assert torch.equal(torch.rand(2), expected)


def test_the_log_says_where_the_run_is(data: ReferentDataset) -> None:
    lines: list[str] = []
    train(new_model(), data, PLAN, log=lines.append)
    assert lines[-1].startswith("step 9/9  loss 1.0")
    assert "samples/s" in lines[-1]


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({}, None),
        ({"warmup_steps": 4}, None),
        ({"warmup_steps": 5}, "the learning rate rises for 5 steps, and the training has 9"),
        ({"batch_size": 99}, "a batch of 99 is more than all"),
    ],
)
def test_a_plan_that_can_hardly_learn_is_told_before_the_first_step(
    data: ReferentDataset, changed: dict[str, int], doubt: str | None
) -> None:
    lines: list[str] = []
    train(new_model(), data, SegmenterPlan(**{**PLAN.__dict__, **changed}), log=lines.append)
    assert lines[0].startswith(doubt or "step 1/9")


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"accumulate": 0}, {"accumulate": 7, "batch_size": 6}])
def test_impossible_plans_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SegmenterPlan(**wrong)


def test_pretrained_trunks_learn_at_their_share_of_the_rate() -> None:
    model, plan = new_model(), SegmenterPlan(epochs=1, batch_size=1, lr=1e-2, pretrained_rate=0.1)
    groups = adamw(model, plan).param_groups
    grouped = [weight for group in groups for weight in group["params"]]
    assert len(grouped) == len({id(weight) for weight in grouped})
    parts = (model.vision.backbone.swin, model.language.model)
    pretrained = {id(weight) for part in parts for weight in part.parameters()}
    for group in groups:
        assert {id(weight) in pretrained for weight in group["params"]} == {group["rate"] != 1.0}


def test_the_rate_rises_over_the_warm_up(data: ReferentDataset) -> None:
    history = train(new_model(), data, SegmenterPlan(epochs=2, batch_size=4, lr=1e-2, warmup_steps=4))
    total = len(history.lr)
    assert history.lr[:5] == pytest.approx(
        [1e-2 * (1 - step / total) ** 0.9 * min(1, (step + 1) / 4) for step in range(5)]
    )


def test_a_loss_that_anneals_is_told_how_far_training_is(data: ReferentDataset) -> None:
    told: list[float] = []

    class Told:
        def at(self, progress: float) -> Any:
            told.append(progress)
            return first_candidate

        __call__ = None

    train(new_model(), data, PLAN, loss=Told())  # type: ignore[arg-type]
    assert told == [step / 9 for step in range(9)]
