"""The gallery of what a home holds: every finished stage of every experiment, each under a name of its own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from assets.data.tables import EXPRESSIONS
from assets.ssc.tables import choices_of
from ops.refusal import Refused
from pipelines.commands.gallery import gallery
from pipelines.graph.load import identify
from tests.homes import CHOSEN, copy_home, finish

TRY = "{extends: correct, datasets: [little], targets: [mask_choices]}"
BLURRED = "{extends: correct, datasets: [little], targets: [mask_choices], knobs: {mask_choices: {sigma: 3}}}"


@pytest.fixture(autouse=True)
def real_weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished homes name their weights as they are."""
    monkeypatch.setattr("pipelines.graph.load.identify", identify)


def index_of(told: str) -> Any:
    page = Path(told.splitlines()[-1].removeprefix("The gallery: "))
    found = re.fullmatch(r"wordmask\.index\((.*)\);\n", (page.parent / "data" / "index.js").read_text())
    assert found
    return json.loads(found[1])


def test_choices_of_two_experiments_stand_beside_each_other(
    chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_home(chosen, tmp_path / "home", experiments={"try": TRY, "blurred": BLURRED})
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    finished = finish(home, stages=CHOSEN)
    index = index_of(gallery("little", None, show=False))
    names = [method["name"] for method in index["methods"]]
    assert sorted(names) == ["choice (S2), blurred", "choice (S2), try"]
    assert {method["offered"] for method in index["methods"]} == {0}
    assert index["candidates"] == ["candidates (S1)"]
    rows = EXPRESSIONS.read(finished["try", "references"])
    assert index["rows"]["text"] == [row.expression for row in rows]
    for name, choice in zip(names, index["choices"], strict=True):
        choices = choices_of(finished[name.split(", ")[1], "mask_choices"])
        reasons = [choice["reason"]["words"][code] for code in choice["reason"]["codes"]]
        assert reasons == [choices[ref_id].reason for ref_id in index["referents"]["id"]]
    assert (home / "gallery" / "little" / "index.html").exists()
    assert "0 of them drawn anew" in gallery("little", None, show=False)


def test_before_the_expressions_were_read_the_command_that_reads_them_is_told(home: Path, tmp_path: Path) -> None:
    copy_home(tmp_path, home, experiments={})
    with pytest.raises(Refused, match="wordmask run -d toyref -e base"):
        gallery("toyref", None, show=False)
