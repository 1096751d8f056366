"""No drawn mask reaches anything that is trained, chosen or predicted."""

import pytest

from assets.stage import AssetPath, StageInstance
from pipelines.experiments import SHIPPED, Experiment, read_experiments
from pipelines.planner import plan
from pipelines.stages import STAGES
from tests.pipelines.planning import SOURCE

JUDGES = {
    "ground_truth",
    "choice_scores",
    "grounded_scores",
    "scores",
    "corrected_scores",
    "supervised_scores",
    "tris_scores",
    "report",
}
"""The stages that may look at drawn masks."""
UPPER_BOUND = {"supervised", "supervised_predictions"}
"""Trained on drawn masks on purpose, and read by nothing but judges."""
EXPERIMENTS = read_experiments([SHIPPED / "experiments"], STAGES)


def peeks(experiment: Experiment) -> bool:
    return experiment.knobs["zs_bootstrap"].model_dump()["select"] == "best_on_val"


def instances_of(experiment: Experiment) -> dict[AssetPath, StageInstance]:
    return {one.key: one for one in plan([("set", SOURCE, experiment)], STAGES, lambda model: model)}


def origins(instances: dict[AssetPath, StageInstance], key: AssetPath) -> set[str]:
    """Names of all stages that an asset is made from, at whatever distance."""
    found: set[str] = set()
    waiting = list(instances[key].inputs.values())
    while waiting:
        one = instances[waiting.pop()]
        if one.stage.name not in found:
            found.add(one.stage.name)
            waiting += one.inputs.values()
    return found


@pytest.mark.parametrize("name", [name for name, one in EXPERIMENTS.items() if not peeks(one)])
def test_no_path_leads_from_ground_truth_into_a_model_or_a_mask(name: str) -> None:
    instances = instances_of(EXPERIMENTS[name])
    tainted = {one.stage.name for one in instances.values() if "ground_truth" in origins(instances, one.key)}
    assert tainted <= UPPER_BOUND | JUDGES - {"ground_truth"}


@pytest.mark.parametrize("name", [name for name, one in EXPERIMENTS.items() if not peeks(one)])
def test_nothing_that_is_made_reads_a_score(name: str) -> None:
    instances = instances_of(EXPERIMENTS[name])
    for one in instances.values():
        if one.stage.name not in JUDGES | UPPER_BOUND:
            assert not origins(instances, one.key) & (JUDGES | UPPER_BOUND)


def test_only_the_authors_own_way_lets_ground_truth_pick_the_epoch() -> None:
    assert {name for name, one in EXPERIMENTS.items() if peeks(one)} == {"compat"}
    instances = instances_of(EXPERIMENTS["compat"])
    tainted = {one.stage.name for one in instances.values() if "ground_truth" in origins(instances, one.key)}
    assert tainted - JUDGES == {"zs_bootstrap", "predictions", "corrected", "corrected_predictions"}
