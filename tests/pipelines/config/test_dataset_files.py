"""Data-set files: refusals, the description of a user's own folder, and which experiments are asked for on them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ops.refusal import Refused
from pipelines.config.dataset_files import PlannedDataset, ask_for, read_datasets, write_dataset
from pipelines.config.yaml_files import dataset_folders
from pipelines.graph.build import build_defs
from pipelines.graph.load import load_plan, planned, read_plan
from tests.pipelines.planning import write_files

Pictures = Callable[[Sequence[str]], Path]
TWO = ["image,expression", "a.png,the red one", "b.png,the blue one"]


def add(folder: Path, name: str = "mine", *, manifest: str | None = None, experiment: str = "base") -> Path:
    return write_dataset(name, folder=folder, manifest=manifest, experiment=experiment)


def mine() -> PlannedDataset:
    return read_datasets(dataset_folders())["mine"]


# data-set files


def test_a_data_set_that_no_file_describes_is_refused(home: Path) -> None:
    write_files(home / "experiments", {"odd": {"extends": "base", "datasets": ["nowhere"]}})
    with pytest.raises(Refused, match=r"odd\.yaml: it names the data set nowhere.*no file describes it"):
        planned("toyref", "odd")
    assert load_plan()


def test_relative_roots_are_relative_to_the_file(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "sets", {"one": {"kind": "folder", "root": "../pictures"}})
    assert read_datasets([folder])["one"].source.config.root == tmp_path.resolve() / "pictures"


def test_what_a_file_says_of_its_images_reaches_the_reader(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path, {"one": {"kind": "refer", "root": "x", "published": False, "image_identity": "stat"}}
    )
    config = read_datasets([folder])["one"].source.config
    assert (config.expect_published_counts, config.image_identity) == (False, "stat")


def test_a_data_set_without_scored_splits_is_left_out(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {"one": {"kind": "folder", "root": "x", "evaluate": []}})
    with pytest.raises(Refused, match="evaluate"):
        read_datasets([folder]).named("one")


# a user's own folder


def test_an_added_folder_is_planned_to_the_end(pictures: Pictures, home: Path) -> None:
    path = add(pictures(TWO))
    assert path == home / "datasets" / "mine.yaml"
    mine = [one for one in load_plan() if one.dataset == "mine"]
    assert {one.stage.name for one in mine} >= {"references", "mask_choices", "zs_bootstrap", "report"}
    assert all(one.used_by == ("base",) for one in mine)


def test_without_other_splits_the_training_rows_are_scored_too(pictures: Pictures) -> None:
    add(pictures(TWO))
    source = mine().source
    assert (source.train, source.evaluate) == (("train",), ("train",))


def test_other_splits_are_scored_and_never_trained_on(pictures: Pictures) -> None:
    lines = ["image,expression,split", "a.png,the red one,", "b.png,the blue one,val", "b.png,it is blue,holdout"]
    add(pictures(lines))
    source = mine().source
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
    assert mine().source.config.manifest == "said.csv"


def test_adding_the_same_again_only_adds_the_experiment(pictures: Pictures) -> None:
    folder = pictures(TWO)
    add(folder)
    add(folder, experiment="red_ellipse")
    add(folder)
    assert mine().asked == ("base", "red_ellipse")


def test_a_description_that_was_moved_into_a_sub_folder_stays_there(pictures: Pictures, home: Path) -> None:
    folder = pictures(TWO)
    path = add(folder)
    moved = home / "datasets" / "own" / path.name
    moved.parent.mkdir()
    path.rename(moved)
    assert add(folder, experiment="red_ellipse") == moved
    assert not path.exists()
    assert mine().asked == ("base", "red_ellipse")


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
    with pytest.raises(ValueError, match=r"no experiment is called bsae; did you mean base.*known are .*base"):
        add(pictures(TWO), experiment="bsae")


# asking for experiments


def wanted(dataset: str = "toyref") -> set[str]:
    return {name for one in load_plan() if one.dataset == dataset for name in one.used_by}


def test_a_fresh_graph_has_the_methods_and_none_of_their_ablations() -> None:
    assert wanted() == {"base", "correct", "tris", "meres"}


def test_what_is_asked_for_joins_the_graph_and_stays() -> None:
    before = wanted()
    assert ask_for("toyref", ["red_ellipse", "base", "nltk_nouns"]) == ["red_ellipse", "nltk_nouns"]
    assert wanted() == before | {"red_ellipse", "nltk_nouns"}
    assert ask_for("toyref", ["nltk_nouns", "small_clip"]) == ["small_clip"]
    assert wanted() == before | {"red_ellipse", "nltk_nouns", "small_clip"}


def test_asking_leaves_written_files_alone(home: Path) -> None:
    write_files(home / "datasets", {"tiny": {"kind": "toyref", "experiments": ["base"]}})
    written = (home / "datasets" / "tiny.yaml").read_bytes()
    assert ask_for("tiny", ["base"]) == []
    assert ask_for("tiny", ["tris"]) == ["tris"]
    assert (home / "datasets" / "tiny.yaml").read_bytes() == written
    assert wanted("tiny") == {"base", "tris"}


def test_lines_about_what_is_gone_mean_nothing(home: Path) -> None:
    write_files(home / "experiments", {"mine": {"extends": "base"}})
    write_files(home / "datasets", {"tiny": {"kind": "toyref"}})
    before = wanted()
    ask_for("toyref", ["mine"])
    ask_for("tiny", ["base"])
    (home / "experiments" / "mine.yaml").unlink()
    (home / "datasets" / "tiny.yaml").unlink()
    assert wanted() == before


@pytest.mark.parametrize(
    ("dataset", "experiment", "message"),
    [
        ("toyrf", "base", r"no data set is called toyrf; did you mean toyref.*wordmask add"),
        ("toyref", "bsae", "no experiment is called bsae; did you mean base"),
    ],
)
def test_what_nobody_knows_cannot_be_asked_for(home: Path, dataset: str, experiment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask_for(dataset, [experiment])
    assert not home.exists()


def test_a_broken_memory_of_what_was_asked_for_is_named(home: Path) -> None:
    write_files(home, {"asked": {"toyref": 3}})
    written = (home / "asked.yaml").read_bytes()
    assert wanted() == {"base", "correct", "tris", "meres"}
    for refused in (lambda: planned("toyref", "red_ellipse"), lambda: ask_for("toyref", ["red_ellipse"])):
        with pytest.raises(Refused, match=r"(?s)Mend asked\.yaml or delete it"):
            refused()
    assert (home / "asked.yaml").read_bytes() == written


FINER: dict[str, Any] = {"extends": "base", "targets": ["choice_scores"], "knobs": {"mask_choices": {"sigma": 0.01}}}


def owners(stage: str) -> set[str]:
    return {one.experiment for one in load_plan() if one.stage.name == stage and "finer" in one.used_by}


@pytest.mark.parametrize("came_by", ["asking", "pages"])
def test_who_comes_later_takes_no_asset_away_whatever_it_is_called(home: Path, came_by: str) -> None:
    for name in ("finer", "aaa"):
        write_files(home / "experiments", {name: {**FINER, "datasets": ["toyref"]}})
        if came_by == "asking":
            ask_for("toyref", [name])
        else:  # as they are opened
            build_defs()
    assert owners("mask_choices") == {"finer"}
    assert owners("candidate_masks") == {"base"}
    write_files(home / "experiments", {"a_parent": FINER, "finer": {"extends": "a_parent", "datasets": ["toyref"]}})
    ask_for("toyref", ["a_parent"])
    assert owners("mask_choices") == {"finer"}
    (home / "owners.yaml").unlink()
    assert owners("mask_choices") == {"a_parent"}  # nobody came first: parents before children, else by name


def test_a_broken_memory_of_who_came_first_is_named_and_the_rest_loads(home: Path) -> None:
    write_files(home, {"owners": {"toyref": 3}})
    assert wanted() == {"base", "correct", "tris", "meres"}
    assert "owners.yaml" in str(read_plan().left_out)
    build_defs()
    with pytest.raises(Refused, match=r"Mend owners\.yaml or delete it; it only says whose the assets are"):
        ask_for("toyref", ["red_ellipse"])


def test_a_data_set_that_asks_for_an_unknown_experiment_is_refused(home: Path) -> None:
    write_files(home / "datasets", {"tiny": {"kind": "toyref", "experiments": ["bsae"]}})
    with pytest.raises(Refused, match=r"tiny\.yaml: it names the experiment bsae; did you mean base"):
        planned("tiny", "base")
