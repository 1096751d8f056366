"""The picture of README.md out of a home's artifacts."""

from pathlib import Path

import pytest
from PIL import Image

from ops.refusal import Refused
from pipelines.commands.picture import write_picture
from pipelines.graph.load import identify
from tests.homes import copy_home

TRY = "{extends: correct, datasets: [little], targets: [mask_choices, choice_scores]}"


@pytest.fixture(autouse=True)
def real_weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished homes name their weights as they are."""
    monkeypatch.setattr("pipelines.graph.load.identify", identify)


def test_a_picture_is_made_of_what_the_home_holds(
    chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(copy_home(chosen, tmp_path / "home", experiments={"try": TRY})))
    write_picture(tmp_path / "way.png", dataset="little", experiment="try")
    with Image.open(tmp_path / "way.png") as picture:
        assert picture.format == "PNG"


def test_what_is_not_made_yet_is_named(described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(copy_home(described, tmp_path / "home", experiments={"try": TRY})))
    with pytest.raises(Refused, match=r"^candidate_masks, mask_choices not made yet"):
        write_picture(tmp_path / "way.png", dataset="little", experiment="try")
