"""Sharing, Merkle recipes, and what a change does and does not touch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assets.framework.stage import StageInstance, fingerprint
from assets.stages import STAGES
from pipelines.config.experiment_files import read_experiments
from pipelines.config.yaml_files import SHIPPED
from pipelines.graph.planner import plan
from tests.pipelines.planning import SOURCE, below, elsewhere, planned

Instances = dict[tuple[str, ...], StageInstance]
BASE: dict[str, Any] = {"targets": ["report", "grounded_scores"]}
EDITS = [
    ("ground_truth", "overlap", "compat"),
    ("noun_phrases", "rule", "nltk"),
    ("projected_classes", "vote", "all"),
    ("candidate_masks", "nms_iou", 0.5),
    ("mask_choices", "sigma", 25.0),
    ("choice_scores", "random_seed", 7),
    ("grounded_masks", "segmenter", "vit_b"),
    ("zs_bootstrap", "learning_rate", 0.1),
    ("scores", "empties", "compat"),
    ("report", "examples", 3),
]


def changed_keys(before: Instances, after: Instances) -> set[tuple[str, ...]]:
    assert before.keys() == after.keys()
    return {key for key in before if before[key].code_version != after[key].code_version}


def owned(instances: Instances, experiment: str) -> set[str]:
    return {instance.stage.name for instance in instances.values() if instance.experiment == experiment}


def test_experiments_that_agree_in_everything_share_everything(tmp_path: Path) -> None:
    alone = planned(tmp_path, {"base": BASE})
    both = planned(tmp_path, {"base": BASE, "same": {"extends": "base"}})
    assert both.keys() == alone.keys()
    assert all(instance.used_by == ("base", "same") for instance in both.values())


def test_an_ablation_owns_its_changed_stage_and_what_lies_below_and_nothing_else(tmp_path: Path) -> None:
    files = {"base": BASE, "blur": {"extends": "base", "knobs": {"mask_choices": {"sigma": 5.0}}}}
    instances = planned(tmp_path, files)
    expected = {"mask_choices", "choice_scores", "zs_bootstrap", "predictions", "scores", "report"}
    assert owned(instances, "blur") == expected
    shared = instances["set", "blur", "mask_choices"].inputs
    assert {key[1] for key in shared.values()} == {"base"}


def test_what_trains_and_what_is_scored_tell_artifacts_apart(tmp_path: Path) -> None:
    divisions = [
        (("train",), ("val", "testA")),
        (("train", "val"), ("testA",)),
        (("train",), ("train", "val", "testA")),
        (("train", "val"), ("val", "testA")),
    ]
    found = []
    for train, evaluate in divisions:
        source = replace(SOURCE, train=train, evaluate=evaluate)
        assert source.splits == ("train", "val", "testA")
        one = planned(tmp_path, {"base": BASE}, source=source)["set", "base", "zs_bootstrap"]
        found.append(fingerprint(one, {"references": "r", "mask_choices": "c"}))
    assert len(set(found)) == len(divisions)


def test_two_ablations_with_the_same_change_share_it(tmp_path: Path) -> None:
    change = {"extends": "base", "targets": ["choice_scores"], "knobs": {"noun_phrases": {"rule": "chunk"}}}
    instances = planned(tmp_path, {"base": BASE, "one": change, "two": change})
    assert owned(instances, "two") == set()
    assert instances["set", "one", "noun_phrases"].used_by == ("one", "two")


def test_naming_a_default_changes_no_recipe(tmp_path: Path) -> None:
    before = planned(tmp_path, {"base": BASE})
    after = planned(tmp_path, {"base": {**BASE, "knobs": {"candidate_masks": {"box_threshold": 0.35}}}})
    assert not changed_keys(before, after)


@pytest.mark.parametrize(("stage", "knob", "value"), EDITS)
def test_a_turned_knob_changes_its_stage_and_what_lies_below_and_comes_back(
    tmp_path: Path, stage: str, knob: str, value: object
) -> None:
    before = planned(tmp_path, {"base": BASE})
    after = planned(tmp_path, {"base": {**BASE, "knobs": {stage: {knob: value}}}})
    assert changed_keys(before, after) == below(before, ("set", "base", stage))
    assert not changed_keys(before, planned(tmp_path, {"base": BASE}))


def test_a_raised_version_changes_its_stage_and_what_lies_below(tmp_path: Path) -> None:
    before = planned(tmp_path, {"base": BASE})
    newer = {**STAGES, "mask_choices": replace(STAGES["mask_choices"], version=99)}
    after = planned(tmp_path, {"base": BASE}, stages=newer)
    assert changed_keys(before, after) == below(before, ("set", "base", "mask_choices"))


def test_new_weights_change_the_stages_that_use_them_and_what_lies_below(tmp_path: Path) -> None:
    before = planned(tmp_path, {"base": BASE})
    after = planned(tmp_path, {"base": BASE}, newer=["embedded/segmenter"])
    expected = below(before, ("set", "base", "candidate_masks")) | below(before, ("set", "base", "grounded_masks"))
    assert changed_keys(before, after) == expected


def test_a_readers_recipe_is_pinned_to_the_recipes_of_its_inputs(tmp_path: Path) -> None:
    instances = planned(tmp_path, {"base": BASE})
    for instance in instances.values():
        assert instance.planned_inputs == {name: instances[key].recipe for name, key in instance.inputs.items()}


def test_own_recipes_ignore_what_lies_above_so_that_rows_can_be_reused(tmp_path: Path) -> None:
    before = planned(tmp_path, {"base": BASE})
    after = planned(tmp_path, {"base": {**BASE, "knobs": {"noun_phrases": {"rule": "nltk"}}}})
    moved = {key[-1] for key in before if before[key].own_recipe != after[key].own_recipe}
    assert moved == {"noun_phrases"}


def test_inputs_come_before_their_readers(tmp_path: Path) -> None:
    seen: set[tuple[str, ...]] = set()
    for key, instance in planned(tmp_path, {"base": BASE}).items():
        assert seen.issuperset(instance.inputs.values())
        seen.add(key)


def test_two_data_sets_share_nothing(tmp_path: Path) -> None:
    one = {instance.recipe for instance in planned(tmp_path, {"base": BASE}, name="one").values()}
    two = {instance.recipe for instance in planned(tmp_path, {"base": BASE}, name="two").values()}
    assert not one & two


def test_a_moved_folder_changes_nothing_but_another_split_file_changes_all(tmp_path: Path) -> None:
    before = planned(tmp_path, {"base": BASE})
    moved = planned(tmp_path, {"base": BASE}, source=elsewhere(SOURCE, root=Path("/elsewhere")))
    other = planned(tmp_path, {"base": BASE}, source=elsewhere(SOURCE, split_by="google"))
    assert not changed_keys(before, moved)
    assert changed_keys(before, other) == set(before)


def test_an_ablation_says_what_it_changed(tmp_path: Path) -> None:
    files = {"base": BASE, "blur": {"extends": "base", "knobs": {"mask_choices": {"sigma": 5.0}}}}
    instances = planned(tmp_path, files)
    said = {key[-1]: instance.changed for key, instance in instances.items() if instance.experiment == "blur"}
    assert {stage: change for stage, change in said.items() if change} == {"mask_choices": {"sigma": 5.0}}


def test_ground_truth_is_read_by_training_only_where_it_picks_the_epoch(tmp_path: Path) -> None:
    key = ("set", "base", "zs_bootstrap")
    assert "ground_truth" not in planned(tmp_path, {"base": BASE})[key].inputs
    peeking = {**BASE, "knobs": {"zs_bootstrap": {"select": "best_on_val"}}}
    assert "ground_truth" in planned(tmp_path, {"base": peeking})[key].inputs


def test_a_newer_knob_at_its_default_leaves_older_trainings_as_they_are(tmp_path: Path) -> None:
    key = ("set", "base", "supervised")
    files = {"base": {**BASE, "targets": ["supervised_scores"]}}
    before = planned(tmp_path, files)[key]
    assert "classes" not in before.knobs.recipe()
    files["base"]["knobs"] = {"supervised": {"classes": "seen"}}
    assert planned(tmp_path, files)[key].recipe != before.recipe


def test_stages_that_need_each_other_are_refused(tmp_path: Path) -> None:
    looped = {**STAGES, "references": replace(STAGES["references"], needs=(STAGES["predictions"],))}
    with pytest.raises(ValueError, match="stages need each other"):
        planned(tmp_path, {"base": BASE}, stages=looped)


def test_a_need_that_nobody_registered_is_refused(tmp_path: Path) -> None:
    dreams = replace(STAGES["references"], name="dreams")
    odd = {**STAGES, "references": replace(STAGES["references"], needs=(dreams,))}
    with pytest.raises(ValueError, match="needs dreams, which is not registered"):
        planned(tmp_path, {"base": BASE}, stages=odd)


def test_every_shipped_experiment_can_be_planned() -> None:
    experiments = read_experiments([SHIPPED / "experiments"], STAGES)
    for one in experiments.values():
        made = {instance.stage.name for instance in plan([("set", SOURCE, one)], STAGES, lambda model: model)}
        assert made.issuperset(one.targets)
