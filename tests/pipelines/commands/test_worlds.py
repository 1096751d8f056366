"""Rendered worlds described beside data on disk."""

from pathlib import Path

import pytest

from assets.data.source import ToyWorld
from ops.refusal import Refused
from pipelines.commands.worlds import figures_of, referred, worlds_table
from resources.datasets import DatasetConfig
from resources.toyref.refcoco_writer import write_toyref


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("worlds") / "close"
    write_toyref(root, size="tiny", seed=4, framing="close")
    return root


def test_a_close_world_is_within_its_bounds(root: Path) -> None:
    for style in ("toyref", "toyref+", "toyrefg"):
        config = DatasetConfig(kind="toyref", root=root, name=style, split_by="umd" if style == "toyrefg" else "unc")
        found = figures_of(config)
        low, middle, _ = map(float, found["area of a referent, % of the image: p10 / median / p90"].split(" / "))
        assert low > 3
        assert 8 <= middle <= 12
        assert 30 < float(found["pairs of one referent's sentences with the same cue, %"]) < 65
        assert {side for one in referred(config) for side in one.size} <= {112, 120, 128}
        assert float(found["sentences of a referent"]) > 2.6


def test_a_style_stands_beside_a_folder_that_holds_it(root: Path, home: Path) -> None:
    table = worlds_table(["toyref", str(root)], ToyWorld(size="tiny", seed=4, framing="close"))
    heads = [str(column.header) for column in table.columns]
    assert heads == ["", "toyref (close, tiny, 4)", "toyref (unc)", "toyref+ (unc)", "toyrefg (umd)"]
    rendered, read = (list(table.columns[place].cells) for place in (1, 2))
    assert rendered == read


@pytest.mark.parametrize(("name", "says"), [("nowhere", "toyref"), (".", r"no refs\(...\).p")])
def test_what_is_no_data_set_is_refused(name: str, says: str, home: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=says):
        worlds_table([str(tmp_path) if name == "." else name], ToyWorld())
