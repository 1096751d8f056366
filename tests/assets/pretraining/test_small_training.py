"""The trainings of the small models: a schedule by steps, and a killed one that ends like an undisturbed one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from assets.pretraining import segmenter
from assets.pretraining.small_training import Budget, CosineSchedule, finish, take_steps
from resources.embedded.cards import EMBEDDED_FOLDER, load_embedded, read_card
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START

BUDGET = Budget(steps=7, scenes=4, held_out=2, checkpoint_every_steps=2)


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = CosineSchedule(total=10_000, warmup_steps=150, flat=0.5, last=0.01)
    assert schedule.factor(0) == pytest.approx(1 / 150)
    assert schedule.factor(5_000) == pytest.approx(1.0)
    assert schedule.factor(7_500) == pytest.approx(1.01 / 2)
    assert schedule.factor(9_999) == pytest.approx(0.01, abs=1e-6)


def small_run(folder: Path, *, killed_at: int | None = None) -> nn.Linear:
    """Seven noisy steps of a line; `killed_at` ends the process, so to say, in that step."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    calls: list[int] = []

    def loss(rng: np.random.Generator) -> Tensor:
        calls.append(1)
        if len(calls) == killed_at:
            raise KeyboardInterrupt
        x_B3 = torch.from_numpy(rng.normal(size=(4, 3))).float() + torch.randn(4, 3)
        return (model(x_B3) - x_B3.sum(1, keepdim=True)).square().mean()

    take_steps(model, torch.optim.AdamW(model.parameters(), lr=0.1), loss, BUDGET, folder=folder, log=lambda _: None)
    return model


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    calm = small_run(tmp_path / "calm")
    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "killed", killed_at=6)
    again = small_run(tmp_path / "killed")
    assert torch.equal(calm.weight, again.weight)
    assert torch.equal(calm.bias, again.bias)


def test_a_real_script_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    def kill_late(line: str) -> None:
        if line.startswith("step 3/"):
            raise KeyboardInterrupt

    budget = replace(BUDGET, steps=3, scenes=10, log_every_steps=1)
    segmenter.train(tmp_path / "calm", budget, log=lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        segmenter.train(tmp_path / "killed", budget, log=kill_late)
    lines: list[str] = []
    segmenter.train(tmp_path / "killed", budget, log=lines.append)
    assert not any(line.startswith("step 1/") for line in lines)
    ours, theirs = (read_card(tmp_path / name) for name in ("calm", "killed"))
    assert ours["sha256"] == theirs["sha256"]
    assert ours["budget"] == {"steps": 3, "scenes": 10, "held_out": 2, "seed": 0}


def test_the_end_says_how_far_the_scores_are_from_those_of_the_model_that_ships(tmp_path: Path) -> None:
    folder = tmp_path / "segmenter"
    segmenter.train(folder, replace(BUDGET, steps=1, scenes=8), log=lambda _: None)
    (folder / "checkpoints").mkdir()
    lines: list[str] = []
    finish(folder, log=lines.append)
    shipped = read_card(EMBEDDED_FOLDER / "segmenter")["scores"]["miou"]
    miou = load_embedded(folder)[1]["scores"]["miou"]
    assert f"miou {miou:.4f}, {miou - shipped:+.4f} from the one that ships" in lines


@pytest.mark.parametrize(
    "name", ["detector", "segmenter", "clip_vit", "clip_judge", "clip_rn", "swin", "irn_trunk", "bert"]
)
def test_the_cards_of_the_models_that_ship_tell_a_budget_that_makes_them_again(name: str) -> None:
    card = read_card(EMBEDDED_FOLDER / name)
    assert card["budget"].keys() == {"steps", "scenes", "held_out", "seed"}
    assert str(PRETRAINING_SEEDS_START)[:2] in card["data"]
