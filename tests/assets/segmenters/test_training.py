"""ZSBootstrap, S+S+C and the supervised bound on a tiny drawn world: what they learn from and what they leave."""

import pytest

from assets.data.tables import referents_in
from assets.framework.asset_factory import run_stage
from assets.framework.stage import StageInstance
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from storage.artifact import Artifact, Store
from tests.homes import write_home

WORLD = "kind: toyref\ntoy: {style: toyref, size: tiny, seed: 5}\n"
EXPERIMENT = """
extends: correct
datasets: [little]
knobs:
  zs_bootstrap: {epochs: 1, batch_size: 8}
  corrected: {epochs: 2, batch_size: 8}
  supervised: {epochs: 1, batch_size: 8}
  report: {examples: 2}
"""
Finished = dict[str, Artifact]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Every stage of Correct, run once."""
    home = write_home(tmp_path_factory.mktemp("home"), datasets={"little": WORLD}, experiments={"try": EXPERIMENT})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        store = Store(home / "store")
        instances: list[StageInstance] = [one for one in load_plan() if one.dataset == "little"]
        for one in instances:
            run_stage(one, store, Runtime(threads=1), lambda _: None)
        return {one.stage.name: store.resolve(one.key) for one in instances}


def test_matching_is_told_epoch_by_epoch_and_keeps_the_constraints(finished: Finished) -> None:
    rows = finished["corrected"].table("matches").to_pylist()
    assert {row["epoch"] for row in rows} == {0, 1, 2}
    choices = {row["ref_id"]: row for row in finished["mask_choices"].table("choices").to_pylist()}
    taken = [
        (row["epoch"], choices[row["ref_id"]]["image_id"], row["candidate"])
        for row in rows
        if row["candidate"] is not None
    ]
    assert taken
    assert len(taken) == len(set(taken))
    assert all(row["candidate"] in {None, *choices[row["ref_id"]]["candidates"]} for row in rows)


def test_every_model_is_scored_on_every_expression(finished: Finished) -> None:
    splits = ("val", "testA", "testB")
    said = sum(len(one.expressions) for one in referents_in(finished["references"], splits=splits))
    for stage, method in (
        ("scores", "ZSBootstrap"),
        ("corrected_scores", "S+S+C"),
        ("supervised_scores", "supervised"),
    ):
        rows = finished[stage].table("summary").to_pylist()
        assert {row["method"] for row in rows} == {method}
        assert sum(row["rows"] for row in rows if row["resolution"] == "original") == said


def test_correction_starts_from_zs_bootstrap_and_the_bound_does_not(finished: Finished) -> None:
    def inputs(stage: str) -> set[str]:
        return set(finished[stage].manifest.inputs)

    assert inputs("corrected") == {"references", "candidate_masks", "mask_choices", "zs_bootstrap"}
    assert inputs("supervised") == {"references", "ground_truth"}
    assert inputs("zs_bootstrap") == {"references", "mask_choices"}


def test_the_page_shows_all_three_and_says_which_read_drawn_masks(finished: Finished) -> None:
    page = finished["report"].file("report.html").read_text()
    for name in ("ZSBootstrap", "S+S+C", "supervised"):
        assert f"<h2>{name}</h2>" in page
    assert "<td>matching after epoch 2</td>" in page
    assert "without ground-truth masks but for the supervised upper bound" in page
