"""Experiment and data-set files: inheritance, refusals, and the description of a user's own folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.definitions import load_plan
from pipelines.experiments import SHIPPED, dataset_folders, read_experiments, read_sources, write_dataset
from pipelines.stages import STAGES
from tests.pipelines.planning import write_files

Pictures = Callable[[Sequence[str]], Path]
BATCHES = (12, 24, 96)
TWO = ["image,expression", "a.png,the red one", "b.png,the blue one"]


def add(folder: Path, name: str = "mine", *, manifest: str | None = None, experiment: str = "base") -> Path:
    return write_dataset(name, folder=folder, manifest=manifest, experiment=experiment)


# shipped experiments


@pytest.mark.parametrize(
    ("experiment", "lavt"),
    [("meres", "supervised"), ("meres_seen", "supervised"), ("meres_choices", "zs_bootstrap")],
)
def test_meres_and_lavt_learn_on_equal_terms(experiment: str, lavt: str) -> None:
    knobs = read_experiments([SHIPPED / "experiments"], STAGES)[experiment].knobs
    ours, theirs = knobs["meres"].model_dump(), knobs[lavt].model_dump()
    assert {name: ours[name] for name in theirs} == theirs


def test_every_source_of_labels_teaches_meres_on_the_same_terms() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)
    whole = known["meres"].knobs["meres"].model_dump()
    for name in ("meres_choices", "meres_candidates", "meres_corrected", "meres_refined"):
        knobs = known[name].knobs["meres"].model_dump()
        assert {knob for knob in whole if knobs[knob] != whole[knob]} == {"labels"}


def test_every_ablation_of_meres_turns_one_knob_and_no_two_the_same() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)
    turned = [one.changed["meres"] for one in known.values() if one.extends == "meres"]
    assert [change for change in turned if len(change) > 1] == [{"classes": "seen", "text": "clip"}]
    assert len({str(change) for change in turned}) == len(turned) == 19
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
    assert len({str(one.changed) for one in ablations}) == len(ablations) == 26
    for one in ablations:
        for stage, change in one.changed.items():
            whole = known["tris"].knobs[stage]
            assert all(getattr(whole, name) != value for name, value in change.items())


def test_the_full_size_has_the_defaults_but_for_the_models_it_names() -> None:
    known = read_experiments([SHIPPED / "experiments"], STAGES)["tris_full"].knobs
    models = {"clip", "scorer", "trunk"}
    for name in ("tris_response_model", "selected_responses", "refined_labels", "tris_segmenter"):
        knobs = known[name]
        assert knobs.model_dump(exclude=models) == type(knobs)().model_dump(exclude=models)


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
        ({"knobs": {"mask_choices": {"sigmma": 1}}}, "sigmma"),
        ({"knobs": {"mask_choices": {"sigma": -1}}}, "greater than 0"),
        ({"knobs": {"mask_choice": {}}}, "no stage is called mask_choice"),
        ({"targets": ["masks"]}, "no stage is called masks"),
        ({"extends": "nobody"}, "parent does not exist"),
        ({"extends": "odd"}, "extend each other"),
        ({"knob": {}}, "knob"),
    ],
)
def test_a_wrong_experiment_is_refused_by_name(tmp_path: Path, content: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        read_experiments([write_files(tmp_path, {"odd": content})], STAGES)
    assert "odd" in str(refusal.value)


def test_broken_yaml_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("knobs: {")
    with pytest.raises(ValueError, match=r"odd\.yaml"):
        read_experiments([tmp_path], STAGES)


def test_two_experiments_of_one_name_are_refused(tmp_path: Path) -> None:
    folders = [write_files(tmp_path / part, {"same": {}}) for part in ("one", "two")]
    with pytest.raises(ValueError, match="already called same"):
        read_experiments(folders, STAGES)


def test_a_file_whose_name_dagster_cannot_carry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be a name.*such as my_blur_2"):
        read_experiments([write_files(tmp_path, {"my blur.2": {}})], STAGES)


def test_a_data_set_that_no_file_describes_is_refused(tmp_path: Path, home: Path) -> None:
    write_files(home / "experiments", {"odd": {"extends": "base", "datasets": ["nowhere"]}})
    with pytest.raises(ValueError, match=r"odd names data sets .*nowhere"):
        load_plan()


# data-set files


def test_relative_roots_are_relative_to_the_file(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "sets", {"one": {"kind": "folder", "root": "../pictures"}})
    source, _ = read_sources([folder])["one"]
    assert source.config.root == tmp_path.resolve() / "pictures"


def test_a_data_set_without_scored_splits_is_refused(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {"one": {"kind": "folder", "root": "x", "evaluate": []}})
    with pytest.raises(ValueError, match="evaluate"):
        read_sources([folder])


# a user's own folder


def test_an_added_folder_is_planned_to_the_end(pictures: Pictures, home: Path) -> None:
    path = add(pictures(TWO))
    assert path == home / "datasets" / "mine.yaml"
    mine = [one for one in load_plan() if one.dataset == "mine"]
    assert {one.stage.name for one in mine} >= {"references", "mask_choices", "zs_bootstrap", "report"}
    assert all(one.used_by == ("base",) for one in mine)


def test_without_other_splits_the_training_rows_are_scored_too(pictures: Pictures) -> None:
    add(pictures(TWO))
    source, asks = read_sources(dataset_folders())["mine"]
    assert (source.train, source.evaluate, asks) == (("train",), ("train",), ("base",))


def test_other_splits_are_scored_and_never_trained_on(pictures: Pictures) -> None:
    lines = ["image,expression,split", "a.png,the red one,", "b.png,the blue one,val", "b.png,it is blue,holdout"]
    add(pictures(lines))
    source, _ = read_sources(dataset_folders())["mine"]
    assert (source.train, source.evaluate) == (("train",), ("val", "holdout"))


def test_the_file_says_what_was_found(pictures: Pictures) -> None:
    path = add(pictures([*TWO, "c.png,a picture that is not there"]))
    first, second, *_ = path.read_text().splitlines()
    assert first == "# Expressions: 2 (train 2); objects: 2; images: 2."
    assert second.startswith("# Rows left out: 1, such as expressions.csv: ")
    assert "c.png" in second


def test_a_table_of_another_name_is_found(pictures: Pictures) -> None:
    folder = pictures(TWO)
    (folder / "expressions.csv").rename(folder / "said.csv")
    add(folder, manifest="said.csv")
    source, _ = read_sources(dataset_folders())["mine"]
    assert source.config.manifest == "said.csv"


def test_adding_the_same_again_only_adds_the_experiment(pictures: Pictures) -> None:
    folder = pictures(TWO)
    add(folder)
    add(folder, experiment="red_ellipse")
    path = add(folder)
    assert read_sources([path.parent])["mine"][1] == ("base", "red_ellipse")


def test_another_description_is_never_overwritten(pictures: Pictures, tmp_path: Path) -> None:
    folder = pictures(TWO)
    path = add(folder)
    written = path.read_text()
    folder.rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"describes mine differently; choose another name"):
        add(tmp_path / "moved")
    assert path.read_text() == written


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["picture,said", "a.png,the red one"], "has no column image and expression"),
        (["image,expression"], "holds no rows"),
        (["image,expression", "x.png,one", "y.png,two", "a.png,three"], "2 of 3 rows .* cannot be used"),
        (["image,expression,split", "a.png,the red one,val"], "no row to train on"),
    ],
)
def test_a_folder_that_would_fail_later_is_refused_now(
    pictures: Pictures, home: Path, lines: Sequence[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        add(pictures(lines))
    assert not home.exists()


def test_an_empty_folder_is_told_what_to_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expressions\.csv.*columns image, expression"):
        add(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder"):
        add(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["", "../up", "my photos", "refcoco+", "a-b", "a__b", "_a", "a.b", "x" * 61])
def test_a_name_that_cannot_be_a_folder_or_a_key_is_refused(pictures: Pictures, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        add(pictures(TWO), name)


def test_a_shipped_name_is_taken(pictures: Pictures) -> None:
    with pytest.raises(ValueError, match="choose another name"):
        add(pictures(TWO), "toyref")


def test_an_unknown_experiment_is_refused_with_those_that_exist(pictures: Pictures) -> None:
    with pytest.raises(ValueError, match=r"no experiment is called bsae; known are .*base"):
        add(pictures(TWO), experiment="bsae")
