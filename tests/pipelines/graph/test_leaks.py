"""No drawn mask reaches anything that is trained, chosen or predicted."""

import pytest

from assets.framework.stage import AssetPath, StageInstance
from assets.meres.stages import LABEL_SOURCES
from assets.meres.train import LABELS
from assets.stages import STAGES
from pipelines.config.experiment_files import Experiment, read_experiments
from pipelines.config.yaml_files import SHIPPED
from pipelines.graph.planner import plan
from tests.pipelines.planning import SOURCE

JUDGES = {
    "ground_truth",
    "choice_scores",
    "grounded_scores",
    "scores",
    "corrected_scores",
    "distilled_scores",
    "supervised_scores",
    "meres_scores",
    "meres_matched_scores",
    "curve",
    "corrected_curve",
    "distilled_curve",
    "supervised_curve",
    "meres_curve",
    "meres_matched_curve",
    "tris_curve",
    "response_scores",
    "tris_scores",
    "report",
    "tris_report",
    "meres_report",
}
"""The stages that may look at drawn masks."""
BOUND = {"supervised", "supervised_predictions"}
"""Trained on drawn masks on purpose, and read by nothing but judges."""
DRAWN_MERES = {"meres", "meres_predictions"}
"""Likewise, but only where its knob `labels` says so."""
EXPERIMENTS = read_experiments([SHIPPED / "experiments"], STAGES)


def upper_bound(experiment: Experiment) -> set[str]:
    """The stages that an experiment trains on drawn masks on purpose."""
    return BOUND | DRAWN_MERES if labels_of(experiment) == "ground_truth" else BOUND


def labels_of(experiment: Experiment) -> str:
    return str(experiment.knobs["meres"].model_dump()["labels"])


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
    assert tainted <= upper_bound(EXPERIMENTS[name]) | JUDGES - {"ground_truth"}


@pytest.mark.parametrize("name", [name for name, one in EXPERIMENTS.items() if not peeks(one)])
def test_nothing_that_is_made_reads_a_score(name: str) -> None:
    instances = instances_of(EXPERIMENTS[name])
    for one in instances.values():
        if one.stage.name not in JUDGES | upper_bound(EXPERIMENTS[name]):
            assert not origins(instances, one.key) & (JUDGES | upper_bound(EXPERIMENTS[name]))


@pytest.mark.parametrize(
    ("labels", "reads"),
    [
        ("mask_choices", {"mask_choices"}),
        ("corrected", {"corrected_labels"}),
        ("refined_labels", {"refined_labels"}),
        ("ground_truth", {"ground_truth"}),
    ],
)
def test_meres_reads_what_its_labels_need_and_drawn_masks_only_when_they_are_its_labels(
    labels: str, reads: set[str]
) -> None:
    meres = EXPERIMENTS["meres"].knobs["meres"].model_copy(update={"labels": labels})
    experiment = EXPERIMENTS["meres"].model_copy(update={"knobs": {**EXPERIMENTS["meres"].knobs, "meres": meres}})
    instances = instances_of(experiment)
    key = next(key for key, one in instances.items() if one.stage.name == "meres")
    assert set(instances[key].inputs) == {"references", *reads}
    assert ("ground_truth" in origins(instances, key)) == (labels == "ground_truth")


def test_every_source_of_labels_is_planned_by_a_shipped_experiment() -> None:
    planned = {labels_of(one) for one in EXPERIMENTS.values() if "meres_scores" in one.targets}
    assert planned == set(LABEL_SOURCES)
    assert set(LABELS) == set(LABEL_SOURCES)


def test_only_the_authors_own_way_lets_ground_truth_pick_the_epoch() -> None:
    assert {name for name, one in EXPERIMENTS.items() if peeks(one)} == {"compat"}
    instances = instances_of(EXPERIMENTS["compat"])
    tainted = {one.stage.name for one in instances.values() if "ground_truth" in origins(instances, one.key)}
    assert tainted - JUDGES == {"zs_bootstrap", "predictions", "corrected", "corrected_predictions"}
