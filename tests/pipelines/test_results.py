"""The papers' tables: what they need, and how figures over seeds are told."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from assets.stage import StageInstance, ToyWorld
from pipelines import results
from pipelines.definitions import load_plan
from pipelines.launch import planned
from pipelines.results import TABLES, markdown, register, runs_of, world
from pipelines.rows import Row


def test_worlds_are_registered_for_every_experiment_of_the_tables() -> None:
    register(["toyref", "toyref+"], range(2), TABLES)
    planned_on = {(one.dataset, name) for one in load_plan() for name in one.used_by}
    for experiment, stage in runs_of(TABLES):
        for dataset in ("toyref", "toyref_seed1", "toyrefplus_seed0", "toyrefplus_seed1"):
            assert (dataset, experiment) in planned_on
            assert stage in {one.stage.name for one in planned(dataset, experiment)}
    toys = {one.dataset: one.source.toy for one in load_plan()}
    assert toys["toyrefplus_seed1"] == ToyWorld(style="toyref+", seed=1)


def test_a_fresh_graph_has_one_world() -> None:
    assert {one.dataset for one in load_plan()} == {"toyref"}


def test_another_world_is_another_training() -> None:
    register(["toyref"], [1], TABLES)
    one, other = (planned(name, "base")[-1] for name in ("toyref", "toyref_seed1"))
    assert (one.source.seed, other.source.seed) == (0, 1)
    assert one.knobs == other.knobs
    assert one.recipe != other.recipe


def test_a_row_tells_mean_and_spread_and_how_many_seeds_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"toyref": {"val": (0.3, 0.5)}, "toyref_seed1": {"val": (0.5, 0.6), "testA": (0.1, 0.2)}}

    def cells(_: Sequence[StageInstance], dataset: str, row: Row) -> dict[str, tuple[float, float]]:
        return figures[dataset] if row.method == "ZSBootstrap" else {}

    monkeypatch.setattr(results, "cells_of", cells)
    lines = markdown(["toyref"], range(2), TABLES[:1]).splitlines()
    assert "| ZSBootstrap | 40.0 ± 14.1 / 55.0 ± 7.1 | 10.0 / 20.0 (1 of 2) | - |" in lines
    assert "| S+S+C | - | - | - |" in lines
    alone = markdown(["toyref"], range(1), TABLES[:1]).splitlines()
    assert "| ZSBootstrap | 30.0 / 50.0 | - | - |" in alone


def test_nothing_is_read_before_it_is_finished(tmp_path: Path) -> None:
    register(["toyref"], [0], TABLES)
    assert "| S+S | - | - | - |" in markdown(["toyref"], range(1), TABLES).splitlines()


def test_world_names_are_told_apart() -> None:
    assert world("toyref", 0) == "toyref"
    assert len({world(style, seed) for style in ("toyref", "toyref+", "toyrefg") for seed in range(3)}) == 9
