"""ZSBootstrap, S+S+C and the supervised bound on a tiny drawn world: what they learn from and what they leave."""

from pathlib import Path

import pytest

from assets.data.tables import referents_in
from storage.artifact import Artifact
from tests.homes import finish

Finished = dict[str, Artifact]


@pytest.fixture(scope="module")
def finished(corrected: Path) -> Finished:
    """Every stage of Correct, run once."""
    return {stage: artifact for (_, stage), artifact in finish(corrected).items()}


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
