"""The data set enters: the embedded world, and a person's own folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from assets.data.dataset_index import raw_fingerprint
from assets.data.source import Source, ToyWorld
from assets.framework.asset_factory import build_stage_asset, run_stage
from assets.stages import STAGES
from pipelines.config.dataset_files import read_datasets
from resources.dagster_resources import ArtifactStore, RuntimeResource
from resources.datasets import DatasetConfig, open_dataset
from resources.runtime import Runtime
from resources.toyref.refcoco_writer import COUNTS
from storage.artifact import Artifact, Store
from storage.masks import decode
from tests.assets.toy import data_version, key_of, metadata_of, planned
from tests.pipelines.planning import write_files

CORPUS = ("dataset_index", "references", "ground_truth")


class Corpus:
    """The three stages on one data set."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, source: Source) -> None:
        self.store, self.instance = Store(folder / "store"), instance
        self.planned = planned(folder / "files", {"targets": list(CORPUS)}, source, STAGES)

    def run(self, **runtime: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [build_stage_asset(one) for one in self.planned.values()],
            instance=self.instance,
            resources={"store": ArtifactStore(root=str(self.store.root)), "runtime": RuntimeResource(**runtime)},
            raise_on_error=False,
        )

    def artifact(self, name: str) -> Artifact:
        return self.store.resolve(key_of(name))


WIDE = ToyWorld(size="tiny", framing="wide")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def toyref(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("toyref")
    config = DatasetConfig(kind="toyref", root=folder / "world", name="toyref")
    world = ToyWorld(size="tiny")
    return Corpus(folder, instance, Source(config=config, train=("train",), evaluate=("val", "testA"), toy=world))


@pytest.fixture(scope="module")
def first(toyref: Corpus) -> dg.ExecuteInProcessResult:
    """The run that drew the world."""
    return toyref.run()


@pytest.fixture
def mine(tmp_path: Path, instance: dg.DagsterInstance) -> Corpus:
    """Two pictures and three sentences; only one object has a drawn mask."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30), "red").save(folder / name)
    drawn = Image.new("L", (40, 30))
    drawn.paste(255, (5, 5, 15, 25))
    drawn.save(folder / "drawn.png")
    (folder / "expressions.csv").write_text(
        "image,expression,object_id,mask\na.png,the red one,1,drawn.png\na.png,red,1,drawn.png\nb.png,it,,\n"
    )
    config = DatasetConfig(kind="folder", root=folder, name="mine")
    return Corpus(tmp_path, instance, Source(config=config, train=("train",), evaluate=("train",)))


def test_the_embedded_world_is_drawn_on_first_use_and_indexed(toyref: Corpus, first: dg.ExecuteInProcessResult) -> None:
    assert first.success
    rows = {row["split"]: row["images"] for row in toyref.artifact("dataset_index").table("splits").to_pylist()}
    assert rows == COUNTS["tiny"]


def test_references_hold_the_wanted_splits_and_every_image_once(
    toyref: Corpus, first: dg.ExecuteInProcessResult
) -> None:
    references = toyref.artifact("references")
    expressions, images = references.table("expressions"), references.table("images")
    assert set(expressions["split"].to_pylist()) == {"train", "val", "testA"}
    assert images.num_rows == len(set(expressions["image_id"].to_pylist())) == 24 + 8 + 6
    assert metadata_of(first, "references")["dagster/row_count"] == expressions.num_rows
    assert metadata_of(first, "references")["preview"].startswith("![preview](data:image/png;base64,")


def test_every_reference_of_the_embedded_world_has_a_drawn_mask(
    toyref: Corpus, first: dg.ExecuteInProcessResult
) -> None:
    assert first.success
    named = set(toyref.artifact("references").table("expressions")["object_id"].to_pylist())
    truths = toyref.artifact("ground_truth").table("objects").to_pylist()
    assert named <= {row["object_id"] for row in truths}
    assert all(decode(row["rle"], row["height"], row["width"]).any() for row in truths)


def test_the_same_data_keep_their_version_and_are_looked_up(toyref: Corpus, first: dg.ExecuteInProcessResult) -> None:
    second = toyref.run()
    for name in CORPUS:
        assert data_version(first, name) == data_version(second, name)


def test_a_changed_picture_gives_the_index_and_all_below_a_new_version(mine: Corpus, tmp_path: Path) -> None:
    first = mine.run()
    Image.new("RGB", (40, 30), "blue").save(tmp_path / "mine" / "b.png")
    second = mine.run()
    for name in CORPUS:
        assert data_version(first, name) != data_version(second, name)


def test_a_folder_has_ground_truth_only_where_a_mask_was_drawn(mine: Corpus) -> None:
    assert mine.run().success
    (truth,) = mine.artifact("ground_truth").table("objects").to_pylist()
    assert decode(truth["rle"], truth["height"], truth["width"]).sum() == 10 * 20


def test_a_broken_picture_is_left_out_with_a_reason_and_the_rest_goes_on(mine: Corpus, tmp_path: Path) -> None:
    data = (tmp_path / "mine" / "b.png").read_bytes()
    (tmp_path / "mine" / "b.png").write_bytes(data[: len(data) // 2])
    result = mine.run()
    assert result.success
    references = mine.artifact("references")
    assert references.table("expressions").num_rows == 2
    (lost,) = references.table("quarantine").to_pylist()
    assert lost["reason"]
    assert metadata_of(result, "references")["expressions: quarantined"] == 1


def test_a_world_in_the_style_of_refcocog_is_read_as_its_file_says(toyref: Corpus, tmp_path: Path) -> None:
    toy = {"style": "toyrefg", "size": "tiny", "framing": "close"}
    folder = write_files(tmp_path / "sets", {"g": {"kind": "toyref", "root": str(tmp_path / "world"), "toy": toy}})
    source = read_datasets([folder])["g"].source
    index = next(iter(toyref.planned.values()))
    assert raw_fingerprint(replace(index, source=source))
    assert open_dataset(source.config).corpus().splits == source.splits == ("train", "val", "test")


def test_a_world_of_another_size_seed_or_framing_is_not_taken_for_the_one_that_is_asked_for(
    toyref: Corpus, first: dg.ExecuteInProcessResult
) -> None:
    assert first.success
    (index,) = [one for one in toyref.planned.values() if one.stage.name == "dataset_index"]
    for world, told in ((ToyWorld(size="tiny", seed=5), "close, tiny and 5"), (WIDE, "wide, tiny and 0")):
        asked = replace(index, source=replace(index.source, toy=world))
        with pytest.raises(
            ValueError, match=f"holds a close world of size tiny and seed 0, asked for are {told}: delete"
        ):
            raw_fingerprint(asked)


@pytest.mark.parametrize("stage", ["references", "ground_truth"])
def test_data_that_change_after_they_were_indexed_are_read_by_nobody(mine: Corpus, tmp_path: Path, stage: str) -> None:
    index, *_ = mine.planned.values()
    later = next(one for one in mine.planned.values() if one.stage.name == stage)
    store = mine.store
    run_stage(index, store, Runtime(), lambda _: None)
    table = tmp_path / "mine" / "expressions.csv"
    before = table.read_text()
    table.write_text(before.replace("the red one", "the green one"))
    with pytest.raises(ValueError, match="changed while they were read: start a new run"):
        run_stage(later, store, Runtime(), lambda _: None)
    table.write_text(before)
    assert run_stage(later, store, Runtime(), lambda _: None).manifest.stage == stage


def test_data_without_a_usable_row_say_why(mine: Corpus, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / "mine" / name).unlink()
    result = mine.run()
    assert not result.success
    messages = [event.step_failure_data.error.message for event in result.all_events if event.is_step_failure]  # type: ignore[union-attr]
    assert any("no usable reference" in message for message in messages)
