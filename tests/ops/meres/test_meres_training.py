"""MERES in the training loop: it learns, its temperature moves, matching works, and a killed run loses nothing."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ops.meres.contrastive_loss import MeresLoss
from ops.meres.model import Meres, optimizer_groups
from ops.segmenters.training import SegmenterPlan, first_candidate, train
from ops.ssc.matching import MatchingLoss
from ops.training.dataset import ReferentDataset
from ops.training.train_state import State
from tests.ops.meres.models import new_meres
from tests.ops.training.data import some_data
from tests.ops.training.tiny import assert_same, restored, stored

PLAN = SegmenterPlan(epochs=2, batch_size=6, lr=1e-3, checkpoint_every_steps=1)
SMALL: dict[str, Any] = {"image_size": 48, "max_tokens": 5, "selected_percent": 50}
"""48 pixels give 2 x 2 coarse ones, of which two are kept."""


@pytest.fixture(scope="module")
def data() -> ReferentDataset:
    return some_data()


def new_model(**changes: Any) -> Meres:
    return new_meres(**{**SMALL, **changes})


def fit(model: Meres, data: ReferentDataset, plan: SegmenterPlan = PLAN, **options: Any) -> list[float]:
    return train(model, data, plan, **{"loss": MeresLoss(), "groups": optimizer_groups, **options}).loss


@pytest.fixture(scope="module")
def undisturbed(data: ReferentDataset) -> tuple[Meres, list[float]]:
    model = new_model(drop_path=0.3, dropout=0.1)
    return model, fit(model, data)


def test_everything_that_learns_moves_the_temperature_included(
    data: ReferentDataset, undisturbed: tuple[Meres, list[float]]
) -> None:
    before, after = new_model().state_dict(), undisturbed[0].state_dict()
    still = {name for name, value in after.items() if torch.equal(value, before[name])}
    frozen = {name for name, one in undisturbed[0].named_parameters() if not one.requires_grad}
    assert still == frozen
    assert "vision.temperature.log_tau" not in still
    assert all(name.startswith("bert.embeddings") for name in frozen)


def test_a_run_that_is_killed_ends_with_the_same_bits(
    data: ReferentDataset, undisturbed: tuple[Meres, list[float]]
) -> None:
    states: list[bytes] = []

    def keep(state: State) -> None:
        states.append(stored(state))
        if state["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(new_model(drop_path=0.3, dropout=0.1), data, save=keep)
    again = new_model(drop_path=0.3, dropout=0.1)
    assert fit(again, data, resume=restored(states[-1])) == undisturbed[1]
    assert_same(again.state_dict(), undisturbed[0].state_dict())


@pytest.mark.parametrize("rule", ["greedy", "hungarian", "unconstrained", "random"])
def test_matching_gives_masks_to_both_losses(data: ReferentDataset, rule: Any) -> None:
    referents = [replace(referent, candidates=(0, 1)) for referent in data.referents]
    rivals = ReferentDataset(data.images_N3HW, data.masks, referents)
    losses = fit(new_model(), rivals, replace(PLAN, epochs=1), loss=MeresLoss(assign=MatchingLoss(rule=rule).match))
    assert len(losses) == 3


def test_a_model_that_contrasts_nothing_may_take_any_loss(data: ReferentDataset) -> None:
    model = new_model(contrastive=False)
    assert len(fit(model, data, replace(PLAN, epochs=1), loss=first_candidate)) == 3


def test_a_parameter_that_no_group_holds_is_refused_by_name(data: ReferentDataset) -> None:
    def forgetful(model: Meres, **options: Any) -> list[dict[str, Any]]:
        return [group for group in optimizer_groups(model, **options) if group["name"] != "temperature"]

    with pytest.raises(ValueError, match=r"\['vision.temperature.log_tau'\]"):
        fit(new_model(), data, groups=forgetful)


def iou(found: Tensor, truth: Tensor) -> Tensor:
    return (found & truth).flatten(1).sum(1) / (found | truth).flatten(1).sum(1)


def test_it_can_learn_eight_sentences_by_heart(data: ReferentDataset) -> None:
    assert data.masks is not None
    few = ReferentDataset(data.images_N3HW[:4], data.masks[:4], data.referents[:8])
    model = new_model(embed_dim=16, decoder_width=16)
    losses = fit(model, few, SegmenterPlan(epochs=80, batch_size=8, lr=1e-2))
    assert losses[-1] < 0.3 * losses[0]
    assert model.state_dict()["vision.temperature.log_tau"] < -0.1  # sharper than at the start
    batch = few.batch([(number, 0) for number in range(8)])
    with torch.no_grad():
        maps = model.eval()(batch.images_I3HW, batch.token_ids_BT, batch.token_mask_BT, image_of_B=batch.image_of_B)
    assert iou(maps[:, 1] > maps[:, 0], batch.targets_BHW()).mean() > 0.95
