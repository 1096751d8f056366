"""Experiment files: what those that ship say, inheritance, refusals."""

from pathlib import Path
from typing import Any, cast

import pytest

from assets.meres.knobs import MeresKnobs
from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.experiment_files import read_experiments
from pipelines.config.yaml_files import SHIPPED
from tests.pipelines.planning import write_files

BATCHES = (60,)


# shipped experiments


@pytest.mark.parametrize(
    ("experiment", "lavt"),
    [
        ("meres", "supervised"),
        ("meres_seen", "supervised"),
        ("meres_choices", "zs_bootstrap"),
        ("meres_candidates", "corrected"),
    ],
)
def test_meres_and_lavt_learn_on_equal_terms(experiment: str, lavt: str) -> None:
    knobs = read_experiments([SHIPPED / "experiments"], STAGES)[experiment].knobs
    stage = "meres_matched" if lavt == "corrected" else "meres"
    ours, theirs = knobs[stage].model_dump(), knobs[lavt].model_dump()
    assert theirs.pop("loss", "sample") == "sample"  # the only one of MERES
    assert theirs.pop("prior", 0.0) == 0.0  # LAVT alone can have one
    assert {name: ours[name] for name in theirs} == theirs
    assert ours["contrast_weight"] == knobs["meres"].model_dump()["contrast_weight"]


def test_every_source_of_labels_teaches_meres_on_the_same_terms() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)
    whole = known["meres"].knobs["meres"].model_dump()
    for name in ("meres_choices", "meres_corrected", "meres_refined"):
        knobs = known[name].knobs["meres"].model_dump()
        assert {knob for knob in whole if knobs[knob] != whole[knob]} == {"labels"}


def test_every_ablation_of_meres_turns_one_knob_and_no_two_the_same() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)
    turned = [
        one.changed["meres"] for one in known.values() if one.extends == "meres" and "meres_scores" in one.targets
    ]
    several = [change for change in turned if len(change) > 1]
    assert {"classes": "seen", "text": "clip"} in several
    assert all("contrast_over" in change or "classes" in change for change in several)
    assert len({str(change) for change in turned}) == len(turned) == 35
    whole = known["meres"].knobs["meres"]
    assert all(getattr(whole, name) != value for change in turned for name, value in change.items())


def test_batches_of_every_size_see_the_same_samples() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)
    knobs = [
        known[name].knobs["tris_response_model"].model_dump()
        for name in ("tris", *(f"tris_batch_{b}" for b in BATCHES))
    ]
    assert [one["batch_size"] for one in knobs[1:]] == list(BATCHES)
    assert len({one["epochs"] for one in knobs}) == 1
    assert len({one["batch_size"] * one["warmup_steps"] for one in knobs}) == 1


def test_every_ablation_of_tris_turns_a_knob_and_no_two_the_same() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)
    ablations = [
        one
        for one in known.values()
        if one.extends == "tris" and one.name.startswith("tris_") and one.name != "tris_full"
    ]
    assert len({str(one.changed) for one in ablations}) == len(ablations) == 30
    for one in ablations:
        for stage, change in one.changed.items():
            whole = known["tris"].knobs[stage]
            assert all(getattr(whole, name) != value for name, value in change.items())


def test_the_full_size_has_the_defaults_but_for_models_and_precision() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)["tris_full"].knobs
    named = {"clip", "scorer", "trunk", "precision"}
    for name in ("tris_response_model", "selected_responses", "refined_labels", "tris_segmenter"):
        knobs = known[name]
        assert knobs.model_dump(exclude=named) == type(knobs)().model_dump(exclude=named)
        assert getattr(knobs, "precision", "float32") == "float32"


def test_meres_at_full_size_has_its_papers_terms() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)
    named = {"size", "swin", "bert", "labels", "select"}
    whole = cast(MeresKnobs, known["meres_full"].knobs["meres"])
    assert whole.model_dump(exclude=named) == MeresKnobs().model_dump(exclude=named)
    assert (whole.epochs, whole.batch_size, whole.learning_rate) == (40, 16, 3e-5)
    open_terms = {"classes": "seen", "text": "clip", "clip": "ViT-L-14-336", "epochs": 50, "select": "last"}
    for stage in ("meres", "supervised"):
        seen, closed = (known[name].knobs[stage].model_dump() for name in ("meres_seen_full", "meres_full"))
        assert {name: value for name, value in seen.items() if value != closed[name]} == open_terms


# experiment files


def test_a_child_changes_only_what_it_names(tmp_path: Path) -> None:
    files: dict[str, dict[str, Any]] = {
        "root": {"targets": ["scores"], "knobs": {"mask_choices": {"sigma": 7.0, "crop": "pad"}}},
        "child": {"extends": "root", "knobs": {"mask_choices": {"sigma": 9.0}}},
        "grandchild": {"extends": "child", "targets": ["report"]},
    }
    found = read_experiments([write_files(tmp_path, files)], STAGES)
    knobs = {name: one.knobs["mask_choices"].model_dump() for name, one in found.items()}
    assert (knobs["child"]["sigma"], knobs["child"]["crop"]) == (9.0, "pad")
    assert knobs["grandchild"] == knobs["child"]
    assert found["child"].targets == ("scores",)
    assert found["grandchild"].targets == ("report",)
    assert list(found) == ["root", "child", "grandchild"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"knobs": {"mask_choices": {"sigmma": 1}}}, "no knob is called sigmma; did you mean sigma"),
        ({"knobs": {"mask_choices": {"sigma": -1}}}, "greater than 0"),
        ({"knobs": {"mask_choice": {}}}, "no stage is called mask_choice"),
        ({"targets": ["masks"]}, "no stage is called masks"),
        ({"extends": "nobody"}, "parent does not exist"),
        ({"extends": "odd"}, "extends it in turn"),
        ({"knob": {}}, "no key is called knob; did you mean knobs"),
    ],
)
def test_a_wrong_experiment_is_left_out_by_name(tmp_path: Path, content: dict[str, object], message: str) -> None:
    found = read_experiments([write_files(tmp_path, {"odd": content, "sound": {}})], STAGES)
    assert list(found) == ["sound"]
    with pytest.raises(Refused, match=rf"odd\.yaml: .*{message}"):
        found.named("odd")


def test_broken_yaml_is_left_out_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("knobs: {")
    (left_out,) = read_experiments([tmp_path], STAGES).left_out
    assert left_out.path == tmp_path / "odd.yaml"


def test_of_two_experiments_of_one_name_the_second_is_left_out(tmp_path: Path) -> None:
    folders = [write_files(tmp_path / part, {"same": {}}) for part in ("one", "two")]
    found = read_experiments(folders, STAGES)
    assert found["same"]
    with pytest.raises(Refused, match=r"two/same\.yaml: another file is already called same"):
        found.named("same")


def test_sub_folders_mean_nothing_but_names_are_unique_over_all(tmp_path: Path) -> None:
    write_files(tmp_path / "b", {"root": {"targets": ["scores"]}, "z_child": {"extends": "root"}})
    write_files(tmp_path / "a" / "deep", {"y_child": {"extends": "root"}})
    write_files(tmp_path, {"x_child": {"extends": "root"}})
    assert list(read_experiments([tmp_path], STAGES)) == ["root", "x_child", "y_child", "z_child"]
    write_files(tmp_path / "a", {"root": {}})
    assert ["already called root" in file.reason for file in read_experiments([tmp_path], STAGES).left_out] == [True]


def test_a_file_whose_name_dagster_cannot_carry_is_left_out(tmp_path: Path) -> None:
    (left_out,) = read_experiments([write_files(tmp_path, {"my blur.2": {}})], STAGES).left_out
    assert "cannot be a name" in left_out.reason
    assert "such as my_blur_2" in left_out.reason
