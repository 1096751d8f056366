"""The parts of ours that train, on a tiny drawn world: the prior of matching, agreement, and the last distillation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from assets.ssc.tables import CHOICES, MATCHES
from ops.ssc.consensus import candidate_prior
from ops.ssc.matching import NONE, match
from storage.artifact import Artifact
from storage.weights import load_weights
from tests.homes import TRY, copy_home, finish

EXPERIMENT = """
extends: try
datasets: [little]
targets: [distilled]
knobs:
  corrected: {prior: 1000, agreement: mean, sentences: two, epochs: 1}
  corrected_labels: {rule: hungarian, agreement: mean}
  distilled: {epochs: 1, batch_size: 8, ema: 0.5}
"""
Finished = dict[str, Artifact]


@pytest.fixture(scope="module")
def finished(corrected: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    home = copy_home(corrected, tmp_path_factory.mktemp("home"), experiments={"try": TRY, "mine": EXPERIMENT})
    return {stage: artifact for (name, stage), artifact in finish(home).items() if name == "mine"}


def test_before_training_a_strong_prior_gives_what_the_choice_thinks(finished: Finished) -> None:
    rows = {row.ref_id: row for row in CHOICES.read(finished["mask_choices"])}
    given = {row.ref_id: row.candidate for row in MATCHES.read(finished["corrected"]) if row.epoch == 0}
    images = {rows[ref_id].image_id for ref_id in given}
    compared = 0
    for image_id in images:
        mine = [rows[ref_id] for ref_id in given if rows[ref_id].image_id == image_id]
        sizes = max(max(row.candidates) for row in mine) + 1
        scores_JK = np.zeros((len(mine), sizes))
        for at, row in enumerate(mine):
            scores_JK[at, row.candidates] = candidate_prior(row.scores)
        expected = match(scores_JK, range(len(mine)), [row.candidates for row in mine]).candidates
        sure = len({round(score, 6) for score in scores_JK[scores_JK > 0]}) == int((scores_JK > 0).sum())
        if sure:
            compared += 1
            assert [given[row.ref_id] for row in mine] == [None if mask == NONE else mask for mask in expected]
    assert compared


def test_the_last_student_goes_on_from_the_corrected_model_on_its_last_matches(finished: Finished) -> None:
    assert set(finished["distilled"].manifest.inputs) == {"references", "corrected", "corrected_labels"}
    labels = finished["corrected_labels"].table("labels")["candidate"].to_pylist()
    metrics = finished["distilled"].manifest.metrics
    used = [int(metrics[name]) for name in ("objects trained on", "objects whose mask is empty or full")]
    assert sum(used) == sum(candidate is not None for candidate in labels) > 10
    before, after = (
        load_weights(finished[stage].file("weights.safetensors"))[0] for stage in ("corrected", "distilled")
    )
    moved = torch.cat([(after[name] - value).double().flatten() for name, value in before.items()]).norm()
    length = torch.cat([value.double().flatten() for value in before.values()]).norm()
    assert 0 < moved < 0.2 * length
