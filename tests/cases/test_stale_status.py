"""A stage is ready only while the raw data on disk are those that it was made from (cases 22)."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from assets.framework.asset_factory import run_stage
from assets.framework.stage import StageInstance
from ops.refusal import Refused
from pipelines.commands.compare import compare
from pipelines.commands.export import export
from pipelines.commands.report import report_table
from pipelines.commands.segment import segment
from pipelines.config.dataset_files import write_dataset
from pipelines.graph.load import leading_to, planned
from pipelines.graph.state import states_of
from resources.datasets import DatasetConfig
from resources.datasets.folder import LAYOUT
from resources.datasets.raw_state import current_fingerprint
from resources.datasets.reading import Dataset
from resources.runtime import Runtime
from storage.artifact import Store

YEARS_AGO = 1_500_000_000


class World(NamedTuple):
    """A user's folder as a data set whose first two stages were run."""

    folder: Path
    home: Path
    instances: list[StageInstance]

    def states(self) -> dict[str, str]:
        states = states_of(self.instances, Store(self.home / "store"))
        return {instance.stage.name: str(states[instance.key]) for instance in self.instances}

    def run(self) -> None:
        for instance in self.instances:
            run_stage(instance, Store(self.home / "store"), Runtime(threads=1), lambda _: None)


def paint(path: Path, colour: str, box: tuple[int, int, int, int] | None = None) -> None:
    image = Image.new("RGB", (40, 30), colour)
    if box:
        image.paste("white", box)
    path.parent.mkdir(exist_ok=True)
    image.save(path)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder, home = tmp_path / "mine", tmp_path / "home"
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    monkeypatch.setattr("pipelines.graph.load.identify", lambda model: f"weights of {model}")
    paint(folder / "a.bmp", "red")
    paint(folder / "b.bmp", "blue")
    paint(folder / "mask.bmp", "black", (5, 5, 15, 25))
    (folder / "expressions.csv").write_text("image,expression,mask\na.bmp,the red one,mask.bmp\nb.bmp,blue,\n")
    write_dataset("mine", folder=folder, manifest=None, experiment="base")
    world = World(folder, home, first_two())
    world.run()
    return world


def first_two() -> list[StageInstance]:
    return leading_to("references", planned("mine", "base"))


def add_a_row(folder: Path) -> None:
    with (folder / "expressions.csv").open("a") as file:
        file.write("a.bmp,all of it,\n")


def spell_otherwise(folder: Path) -> None:
    table = folder / "expressions.csv"
    table.write_text(table.read_text().replace("red one", "red two"))


def repaint_unseen(folder: Path) -> None:
    """As many bytes at the same time of modification."""
    before = (folder / "b.bmp").stat()
    paint(folder / "b.bmp", "navy")
    os.utime(folder / "b.bmp", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (folder / "b.bmp").stat().st_size == before.st_size


def beside(folder: Path) -> None:
    (folder / "images").mkdir()
    paint(folder / "images" / "other.bmp", "green")
    (folder / "note.txt").write_text("nobody reads this")


def touch(folder: Path) -> None:
    for path in folder.iterdir():
        path.touch()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (add_a_row, "stale: raw data changed"),
        (spell_otherwise, "stale: raw data changed"),
        (repaint_unseen, "stale: raw data changed"),
        (lambda folder: (folder / "b.bmp").unlink(), "stale: raw data changed"),
        (lambda folder: paint(folder / "mask.bmp", "black", (5, 5, 16, 25)), "stale: raw data changed"),
        (lambda folder: folder.rename(folder.with_name("gone")), "stale: raw data is gone"),
        (lambda folder: (folder / "expressions.csv").unlink(), "stale: raw data cannot be read: .*"),
        (lambda folder: (folder / "expressions.csv").write_text("picture\na.bmp\n"), "stale: raw data cannot be .*"),
        (beside, "ready"),
        (touch, "ready"),
    ],
)
def test_every_change_of_what_is_read_is_told_of_all_stages(
    world: World, change: Callable[[Path], object], told: str
) -> None:
    assert set(world.states().values()) == {"ready"}
    change(world.folder)
    assert all(re.fullmatch(told, state) for state in world.states().values()), world.states()


def test_a_folder_that_moved_is_ready_where_its_file_says_so(world: World) -> None:
    moved = world.folder.rename(world.folder.with_name("moved"))
    page = world.home / "datasets" / "mine.yaml"
    page.write_text(page.read_text().replace(str(world.folder), str(moved)))
    assert set(world._replace(instances=first_two()).states().values()) == {"ready"}


def test_a_run_makes_changed_data_ready_and_what_was_put_back_is_ready_at_once(world: World) -> None:
    table = world.folder / "expressions.csv"
    before = table.read_bytes()
    add_a_row(world.folder)
    table.write_bytes(before)
    assert set(world.states().values()) == {"ready"}
    add_a_row(world.folder)
    world.run()
    assert set(world.states().values()) == {"ready"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (add_a_row, "raw data changed since the stages of mine were made: a run reads them anew"),
        (lambda folder: folder.rename(folder.with_name("gone")), "raw data is gone since.*set root in mine.yaml"),
    ],
)
def test_no_command_takes_what_was_made_from_other_data(
    world: World, tmp_path: Path, change: Callable[[Path], object], told: str
) -> None:
    paint(tmp_path / "own" / "any.bmp", "red")
    change(world.folder)
    image, out = tmp_path / "own" / "any.bmp", tmp_path / "out"
    commands: list[Callable[[], object]] = [
        lambda: report_table("mine", "base"),
        lambda: compare("mine", ["base"], []),
        lambda: export("mine", "base", out),
        lambda: segment(image, ["it"], out, dataset="mine", experiment="base"),
    ]
    for command in commands:
        with pytest.raises(Refused, match=told):
            command()


def test_data_at_rest_are_read_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (*world.folder.iterdir(), world.folder):
        os.utime(path, (YEARS_AGO, YEARS_AGO))
    monkeypatch.setattr("resources.datasets.raw_state.AT_REST_SECONDS", -60.0)  # what changed just now counts as old
    read: list[Path] = []
    hashing = Dataset.fingerprint

    def counted(dataset: Dataset) -> str:
        read.append(dataset.config.root)
        return hashing(dataset)

    monkeypatch.setattr(Dataset, "fingerprint", counted)
    assert [set(world.states().values()) for _ in range(3)] == [{"ready"}] * 3
    assert len(read) == 1
    memory = world.home / "raw_data" / "mine.json"
    for damage in (b"", b"[1]", b'{"stamps": 3}', b'{"stamps": {}, "config": "", "fingerprint": "x"}'):
        memory.write_bytes(damage)
        assert set(world.states().values()) == {"ready"}


def test_what_may_still_change_is_not_remembered(world: World) -> None:
    config = DatasetConfig(kind="folder", root=world.folder, name="mine")
    current_fingerprint(config, world.home / "memory.json")
    assert not (world.home / "memory.json").exists()


@pytest.mark.parametrize(
    ("above", "place"),
    [
        ("x", "sub/B.bmp"),
        ("x", "x/Y/b.bmp"),
        ("images", "images/X/y/B.BMP"),
        ("images/x", "images/x/Y/b.bmp"),
        ("images/x/q", "images/x/Y/b.bmp"),
    ],
)
def test_a_file_that_appears_under_a_like_name_is_seen_wherever_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: str, place: str
) -> None:
    monkeypatch.setattr("resources.datasets.raw_state.AT_REST_SECONDS", -1.0)
    paint(tmp_path / "a.bmp", "red")
    (tmp_path / "expressions.csv").write_text("image,expression\nx/y/b.bmp,blue\nSub/b.bmp,red\n")
    (tmp_path / above).mkdir(parents=True)
    config, memory = DatasetConfig(kind="folder", root=tmp_path), tmp_path.parent / f"{tmp_path.name}.json"
    before = current_fingerprint(config, memory)
    assert memory.exists()
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    paint(tmp_path / place, "blue")
    assert current_fingerprint(config, memory) == Dataset(config, LAYOUT).fingerprint() != before
