"""`wordmask places` as a person sees it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app

ROWS = """ref_id,img_id,sent,bbox
1,a,left cup,"[0, 100, 90, 90]"
1,a,red cup,"[0, 100, 90, 90]"
2,a,not the left one,"[300, 100, 90, 90]"
3,b,second from left,"[0, 100, 90, 90]"
4,b,the closest cup,"[300, 100, 190, 290]"
5,b,broken,here
6,c,left,"[0, 100, 90, 90]"
"""


def places(folder: Path, *options: str) -> tuple[int, str]:
    path = folder / "refs.csv"
    path.write_text(ROWS)
    called = ["places", "--refs", str(path), "--parser", "none", *options]
    result = CliRunner().invoke(app, called, env={"COLUMNS": "200"})
    return result.exit_code, re.sub(r"[\s│]+", " ", result.output)


def test_coverage_and_accuracy_are_told_with_the_rows_that_were_left_out(tmp_path: Path) -> None:
    code, said = places(tmp_path)
    assert code == 0
    assert "6 sentences, 5 in images with two referents or more, 4 of these state a place" in said
    assert re.search(r"boxes alone 4 0\.800 0\.750 [\d.]+ to [\d.]+ 0\.500", said)
    assert re.search(r"ordinal 1 1 0\.000 .* second from left", said)
    assert "1 rows could not be read: line 7: the box is not" in said


def test_one_kind_is_shown_in_detail_and_failures_are_listed(tmp_path: Path) -> None:
    code, said = places(tmp_path, "--kind", "ordinal", "--failures", "5")
    assert code == 0
    assert "2. left 1 1 0.000" in said
    assert "1 failures" in said
    assert "* 0 100 90 190" in said


@pytest.mark.parametrize(("options", "told"), [(("--kind", "left"), "no kind of place is called left; there are side")])
def test_what_is_unknown_is_refused(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    code, said = places(tmp_path, *options)
    assert code == 1
    assert told in said
