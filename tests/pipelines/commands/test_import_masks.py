"""A teacher's masks from the command line into S1 and S2, and what a simulated teacher's faults look like there."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from assets.framework.asset_factory import run_stage
from assets.framework.stage import StageInstance
from assets.ssc.knobs import CandidateKnobs, ChoiceKnobs
from assets.ssc.tables import CANDIDATES, CHOICES, TEACHER_CHOICES
from ops.refusal import Refused
from pipelines.graph.load import identify, planned
from pipelines.graph.state import IMPORTED_ANEW, states_of
from resources.datasets import open_dataset
from resources.datasets.ground_truth import ground_truth_mask
from resources.runtime import Runtime
from resources.store import open_store
from resources.teachers.imports import imports_of
from storage.artifact import Artifact
from storage.masks import Rle
from tests.benchmarks.simulated_teacher import CANDIDATES as OFFERED
from tests.benchmarks.simulated_teacher import CHOICES as SHOWN
from tests.benchmarks.simulated_teacher import eroded, simulate
from tests.homes import copy_home
from tests.pipelines.test_cli import Run, run

__all__ = ["run"]
TAUGHT = f"""
extends: correct
datasets: [little]
targets: [mask_choices]
knobs:
  candidate_masks: {{source: imported, teacher: {OFFERED}}}
  mask_choices: {{rule: imported, teacher: {SHOWN}}}
"""
POOLED = f"extends: taught\nknobs: {{candidate_masks: {{teacher: {SHOWN}}}}}\ndatasets: [little]\n"
Finish = Callable[[str], dict[str, Artifact]]


@pytest.fixture
def finish(described: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Finish:
    """Run an experiment up to its choices; its artifacts by stage."""
    monkeypatch.setattr("pipelines.graph.load.identify", identify)
    copy_home(described, home, experiments={"taught": TAUGHT, "pooled": POOLED})

    def finished(experiment: str) -> dict[str, Artifact]:
        used = planned("little", experiment)
        return {one.stage.name: run_stage(one, open_store(), Runtime(threads=1), lambda _: None) for one in used}

    return finished


def last(experiment: str) -> StageInstance:
    return planned("little", experiment)[-1]


@pytest.mark.slow
def test_a_simulated_teacher_goes_into_candidates_and_choices(finish: Finish, run: Run, home: Path) -> None:
    config = last("taught").source.config
    choices, candidates = simulate(config, home / "simulated", wrong=0.3)
    code, said = run("import-masks", candidates, "-d", "little", "--as", "candidates", "--name", OFFERED)
    assert code == 0, said
    assert "candidate_masks: {source: imported, teacher: simulated_candidates}" in said
    code, said = run("import-masks", choices, "-d", "little", "--as", "choices", "--name", SHOWN)
    assert (code, "mask_choices: {rule: imported, teacher: simulated}" in said) == (0, True)
    made = finish("taught")

    truths = {one.object_id: Rle.of(eroded(ground_truth_mask(one))) for one in open_dataset(config).ground_truth()[0]}
    referents = {one.ref_id: one for one in open_dataset(config).corpus().expressions}
    chosen = CHOICES.read(made["mask_choices"])
    assert {row.reason for row in chosen} == {"teacher"}
    right = [row.mask == truths[referents[row.ref_id].object_id] for row in chosen]
    assert 1 - np.mean(right) == pytest.approx(0.3, abs=0.05)
    assert all(row.mask in truths.values() for row in chosen)
    assert {row.iou for row in TEACHER_CHOICES.read(made["mask_choices"])} == {1.0}
    images = {one.image_id for one in referents.values()}
    assert {row.image_id for row in CANDIDATES.read(made["candidate_masks"])} == images
    assert len(CANDIDATES.read(made["candidate_masks"])) == len(truths)

    pooled = finish("pooled")  # candidates are what the teacher showed for some expression
    assert {row.mask for row in CANDIDATES.read(pooled["candidate_masks"])} == {row.mask for row in chosen}
    assert [row.mask for row in CHOICES.read(pooled["mask_choices"])] == [row.mask for row in chosen]

    state = states_of(planned("little", "taught"), open_store())
    assert {one.state for one in state.values()} == {"ready"}
    simulate(config, home / "simulated", seed=1)
    run("import-masks", choices, "-d", "little", "--as", "choices", "--name", SHOWN)
    state = states_of(planned("little", "taught"), open_store())
    assert str(state[last("taught").key]) == f"stale: {IMPORTED_ANEW}"
    assert CHOICES.read(finish("taught")["mask_choices"]) != chosen
    code, said = run("import-masks", "-d", "little", "--remove", SHOWN)
    assert (code, [one.name for one in imports_of("little")]) == (0, [OFFERED])
    assert "no teacher called simulated was imported for little" in str(
        states_of(planned("little", "taught"), open_store())[last("taught").key]
    )
    (home / "experiments" / "taught.yaml").write_text(TAUGHT.replace(f"teacher: {SHOWN}}}", f"teacher: {OFFERED}}}"))
    with pytest.raises(Refused, match="simulated_candidates was imported as candidates, which name no expressions"):
        finish("taught")


def test_what_is_wrong_with_an_import_is_told(run: Run, finish: Finish, tmp_path: Path) -> None:
    assert "nothing was imported yet" in run("import-masks", "--list")[1]
    file = tmp_path / "predictions.json"
    file.write_text(json.dumps([{"image": "a.jpg", "segmentation": []}]))
    ask = ("import-masks", file, "-d", "little", "--as", "choices", "--name")
    for words, wanted in [
        ((*ask, "l-ens"), "cannot be a name"),
        ((*ask, "lens"), "no mask of predictions.json fits the data set little"),
        (("import-masks", tmp_path / "gone", *ask[2:], "lens"), "gone is not there"),
        (("import-masks", file, "-d", "litle", "--as", "choices", "--name", "lens"), "did you mean little?"),
        (("import-masks", "-d", "little", "--remove", "lens"), "no teacher called lens was imported"),
        (("import-masks", file), "give a file or folder, --as candidates or --as choices"),
    ]:
        code, said = run(*words)
        assert code, said
        assert wanted in said.replace("│ ", "")
        assert "Traceback" not in said


def test_recipes_read_a_teacher_only_where_one_is_asked_for() -> None:
    assert "teacher" not in CandidateKnobs(teacher="lens").recipe()
    assert CandidateKnobs(source="imported", teacher="lens").recipe() == {
        "source": "imported",
        "teacher": "lens",
        "nms_iou": 0.85,
    }
    assert CandidateKnobs(source="imported", teacher="lens").models() == ()
    assert ChoiceKnobs(least_iou=0.1).recipe() == ChoiceKnobs().recipe()
    assert ChoiceKnobs(rule="imported", teacher="lens", sigma=3).recipe() == {"rule": "imported", "teacher": "lens"}
    with pytest.raises(ValueError, match="imported masks need `teacher`"):
        ChoiceKnobs(rule="imported")
