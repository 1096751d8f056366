"""Experiments made of settings: their names, that the same are found again, and what is refused."""

from functools import cache
from pathlib import Path

import pytest
import yaml

from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.commands.wanted import Wanted, wanted_runs
from pipelines.config.dataset_files import ask_for
from pipelines.config.described import Described
from pipelines.config.experiment_files import Experiment, read_experiments
from pipelines.config.variants import differences, name_of, parsed, variant
from pipelines.config.yaml_files import NAME, SHIPPED
from pipelines.graph.load import planned
from tests.pipelines.planning import write_files


@cache
def shipped() -> Described[Experiment]:
    return read_experiments([SHIPPED / "experiments"], STAGES)


def wanted(*settings: str, experiment: str = "base", until: str | None = None, suite: str | None = None) -> list[str]:
    runs = wanted_runs("toyref", experiment, until=until, settings=settings, suite=suite)
    return [run.experiment for run in runs]


def written(home: Path) -> list[str]:
    return sorted(path.stem for path in home.glob("experiments/*.yaml"))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (["mask_choices.sigma=0.04"], "base_sigma_0p04"),
        (["mask_choices.sigma=4e-2"], "base_sigma_0p04"),
        (["mask_choices.sigma=25"], "base_sigma_25"),
        (["zs_bootstrap.learning_rate=1e-5"], "base_zs_bootstrap_learning_rate_1em05"),
        (
            ["mask_choices.prompt=red_ellipse", "noun_phrases.rule=chunk"],
            "base_noun_phrases_rule_chunk_prompt_red_ellipse",
        ),
        (["mask_choices.absent=balanced"], "base_absent_balanced"),
        (["projected_classes.project=off"], "base_project_off"),
        (["zs_bootstrap.clip_norm=null"], "base_zs_bootstrap_clip_norm_none"),
        (["report.segmenters=[supervised]", "supervised.epochs=2"], "base_supervised_epochs_2_segmenters_supervised"),
    ],
)
def test_a_setting_makes_an_experiment_whose_name_says_it(settings: list[str], name: str) -> None:
    base = shipped()["base"]
    new, same = (variant(base, order, shipped()) for order in (settings, settings[::-1]))
    assert new == same
    assert (new.name, NAME.fullmatch(name) is not None) == (name, True)
    turned = differences(base, new.settled)
    assert new.file is not None
    assert new.file.knobs == turned
    assert {f"{stage}.{knob}" for stage, knobs in turned.items() for knob in knobs} == {
        setting.partition("=")[0] for setting in settings
    }


def test_an_experiment_says_what_it_changes_and_owns_only_that(home: Path) -> None:
    (name,) = wanted("mask_choices.sigma=0.04")
    file = yaml.safe_load((home / "experiments" / f"{name}.yaml").read_text())
    assert file == {
        "extends": "base",
        "description": "base with mask_choices.sigma = 0.04 (there 0.078).",
        "knobs": {"mask_choices": {"sigma": 0.04}},
    }
    ask_for("toyref", [name])
    owners = {one.stage.name: one.experiment for one in planned("toyref", name)}
    assert (owners["mask_choices"], owners["candidate_masks"]) == (name, "base")


def test_settings_that_an_experiment_has_make_no_second_one(home: Path) -> None:
    write_files(home / "experiments", {"sharper": {"extends": "base", "knobs": {"mask_choices": {"sigma": 0.04}}}})
    assert wanted("mask_choices.sigma=0.04") == ["sharper"]
    assert wanted("mask_choices.sigma=0.078") == ["base"]
    assert wanted("mask_choices.sigma=0.078", experiment="sharper") == ["base"]
    assert written(home) == ["sharper"]


def test_a_name_that_is_taken_or_cannot_be_said_gets_a_mark(home: Path) -> None:
    write_files(home / "experiments", {"base_sigma_0p04": {"extends": "base", "knobs": {"mask_choices": {"sigma": 1}}}})
    (marked,) = wanted("mask_choices.sigma=0.04")
    assert marked.startswith("base_sigma_0p04_")
    assert wanted("mask_choices.sigma=0.04") == [marked]
    long = {"projected_classes": {"labels": ["a red", "b/c", *("x" * 9 for _ in range(9))]}}
    names = {name_of("base", long), name_of("base", {"projected_classes": {"labels": ["a red", "b c"]}})}
    assert len(names) == 2
    assert all(len(name) <= 60 and name.replace("_", "").isalnum() and "__" not in name for name in names)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mask_choice.sigma=1", "no stage is called mask_choice; did you mean mask_choices?"),
        ("mask_choices.sigmma=1", "no knob is called sigmma; did you mean sigma?"),
        ("mask_choices.sigma=-1", "sigma: Input should be greater than 0"),
        ("mask_choices.sigma=yes", "sigma is true, and a number is wanted"),
        ("mask_choices.sigma=.nan", "a finite number is wanted"),
        ("mask_choices.clip=ViT-L-14-33", "did you mean ViT-L-14-336"),
        ("mask_choices.rule=imported", "imported masks need `teacher`"),
        ("mask_choices.sigma=[1", "--set mask_choices.sigma is no YAML"),
        ("mask_choices.sigma=!!python/name:os.system", "are not read"),
        ("tris_segmenter.epochs=2", "there is no stage here that is called tris_segmenter"),
        ("mask_choices.sigma", "is not of the form STAGE.KNOB=VALUE"),
        ("sigma=1", "is not of the form STAGE.KNOB=VALUE"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_written(home: Path, setting: str, message: str) -> None:
    with pytest.raises(Refused) as refusal:
        wanted("candidate_masks.nms_iou=0.5", setting)
    assert message in str(refusal.value)
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"dataset": "toyrf"}, "no data set is called toyrf; did you mean toyref?"),
        ({"experiment": "bsae"}, "no experiment is called bsae; did you mean base?"),
        ({"until": "mask_choice"}, "no stage is called mask_choice; did you mean mask_choices?"),
        ({"until": "corrected"}, "there is no stage here that is called corrected"),
        (
            {"suite": "ssc_tabel3"},
            "no suite is called ssc_tabel3; did you mean ssc_table3? suites: meres_table1: MERES",
        ),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_written(home: Path, words: dict[str, str], message: str) -> None:
    with pytest.raises(Refused) as refusal:
        wanted_runs(**{"dataset": "toyref", "experiment": "base", **words}, settings=["mask_choices.sigma=0.04"])
    assert message in str(refusal.value)
    assert not home.exists()


def test_a_knob_is_set_once() -> None:
    with pytest.raises(Refused, match="set twice"):
        parsed(["mask_choices.sigma=1", "mask_choices.sigma=2"])


def test_a_suite_is_the_experiments_of_a_table_each_until_where_it_is_measured(home: Path) -> None:
    runs = wanted_runs("toyref", "base", suite="ssc_table3")
    names = ["base", "red_ellipse_small_clip", "red_ellipse", "gl_clip_detector", "small_clip"]
    assert runs == [Wanted(name, "choice_scores") for name in names]
    assert not home.exists()
    turned = wanted("candidate_masks.nms_iou=0.5", suite="ssc_table3")
    assert turned == [f"{name}_nms_iou_0p5" for name in names]
    assert written(home) == sorted(turned)
    assert wanted("corrected.epochs=2", suite="ssc_table5")[:2] == ["base", "unconstrained_corrected_epochs_2"]


def test_the_defaults_differ_in_nothing_from_themselves() -> None:
    bare = shipped()["base"].model_copy(update={"knobs": {name: stage.knobs() for name, stage in STAGES.items()}})
    assert not differences(None, bare)
